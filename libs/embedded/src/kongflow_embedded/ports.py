"""Free ports on the loopback interface."""

import random
import socket
from contextlib import ExitStack

# Below the ports that Linux and macOS give to outgoing connections: a server that comes back on
# its port must not find it taken by somebody's client.
_CANDIDATES = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Returns `count` different ports that nobody listened on a moment ago."""
    found: list[int] = []
    with ExitStack() as stack:
        # Not for secrecy: programs that start at the same time should not meet.
        for port in random.sample(_CANDIDATES, len(_CANDIDATES)):  # nosec B311
            if len(found) == count:
                break
            probe = stack.enter_context(socket.socket())
            if _can_bind(probe, port):
                found.append(port)
    return found


def is_port_free(port: int) -> bool:
    """Says whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        return _can_bind(probe, port)


def _can_bind(probe: socket.socket, port: int) -> bool:
    # As servers do: connections of a server that just ended do not keep its port taken.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
