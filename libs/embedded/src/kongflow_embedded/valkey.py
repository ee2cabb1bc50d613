"""A private Valkey: one folder, one port on the loopback interface, one password."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kongflow_embedded.binaries import find_valkey
from kongflow_embedded.errors import NotReadyError
from kongflow_embedded.launch import Launch

DEVELOPMENT_SETTINGS: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    "maxmemory-policy": "noeviction",
    "loglevel": "notice",
}


@dataclass(frozen=True, slots=True)
class ValkeyServer:
    """A Valkey server whose data lies in `folder`.

    One program at a time may use a folder; the caller sees to that. Call `prepare`, start
    `launch()`, then `wait_ready`.
    """

    folder: Path
    port: int
    password: str = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Server settings, written as in valkey.conf, that replace or add to DEVELOPMENT_SETTINGS."""
    program: Path = field(default_factory=find_valkey)

    def url(self, database: int = 0) -> str:
        """Returns the connection URL of a numbered database, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Makes the folder and writes the settings file (mode 0600, it holds the password)."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            **DEVELOPMENT_SETTINGS,
            **self.settings,
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "daemonize": "no",
            "logfile": '""',
            "dir": "./",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        descriptor = os.open(self._settings_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as target:
            target.write(text)

    def launch(self) -> Launch:
        """Returns how to start the server; `prepare` must have run."""
        return Launch(
            argv=(str(self.program), self._settings_file.name),
            cwd=self.folder,
            env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"},
        )

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None:
        """Returns when the server answers commands; raises NotReadyError otherwise.

        `timeout` is in seconds; `is_alive` says whether the started process still runs.
        """
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if not is_alive():
                raise NotReadyError("Valkey ended while it was starting.")
            if time.monotonic() > deadline:
                raise NotReadyError(f"Valkey was not ready after {timeout:g} seconds.")
            time.sleep(0.01)

    def is_ready(self) -> bool:
        """Says whether the server takes our password and has loaded its data."""
        command = f"AUTH {self.password}\r\nPING\r\n".encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(command)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(256)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    @property
    def _settings_file(self) -> Path:
        return self.folder / "valkey.conf"
