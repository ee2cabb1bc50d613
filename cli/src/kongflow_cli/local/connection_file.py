"""dev.json: how programs reach the running development system."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kongflow_cli.local.state_folder import write_private


@dataclass(frozen=True, slots=True)
class Connection:
    """Addresses and keys of a ready system."""

    api_key: str = field(repr=False)
    public_key: str = field(repr=False)
    operator_token: str = field(repr=False)
    grpc: Mapping[str, str]
    """The client listener, host:port, of each context."""
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)

    def write(self, path: Path, pids: Mapping[str, int]) -> None:
        """Writes dev.json in one step, mode 0600; `pids` are the processes as they are now."""
        content = {
            "api_key": self.api_key,
            "public_key": self.public_key,
            "operator_token": self.operator_token,
            "grpc": dict(self.grpc),
            # No HTTP gateway runs in this system.
            "http": None,
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "pids": dict(pids),
        }
        write_private(path, json.dumps(content, indent=2) + "\n")
