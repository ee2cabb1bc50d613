"""Ports chosen once per system, so that everything comes back where it was."""

import json
from collections.abc import Sequence
from pathlib import Path

from kongflow_cli.local.state_folder import read_json, write_private
from kongflow_embedded.ports import free_ports, is_port_free


def choose_ports(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Returns a port per name: the kept one where it is still free, else a new one, now kept."""
    kept = {
        name: port
        for name, port in read_json(path).items()
        if isinstance(port, int) and 0 < port < 65536
    }
    ports: dict[str, int] = {}
    for name in names:
        if name in kept and kept[name] not in ports.values() and is_port_free(kept[name]):
            ports[name] = kept[name]
    missing = [name for name in names if name not in ports]
    # Enough candidates that none of them is one we already gave out.
    fresh = [port for port in free_ports(len(names) + len(missing)) if port not in ports.values()]
    ports.update(zip(missing, fresh, strict=False))
    if ports != kept:
        write_private(path, json.dumps({**kept, **ports}))
    return ports
