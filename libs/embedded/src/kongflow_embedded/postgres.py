"""A private PostgreSQL: one folder, one port on the loopback interface, one password."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kongflow_embedded.account import (
    Account,
    is_open_to_everybody,
    shared_copy,
    unprivileged_account,
)
from kongflow_embedded.binaries import PostgresBinaries, find_postgres
from kongflow_embedded.errors import EmbeddedServerError, NotReadyError
from kongflow_embedded.launch import Launch
from kongflow_embedded.processes import end_process, process_cwd, process_identity

USER = "kongflow"

DEVELOPMENT_SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "jit": "off",
}

_PROTOCOL_3 = 196608
_WORKING_FOLDER = Path("/proc/self/cwd")
_INITDB_SECONDS = 120.0
_LEFTOVER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL server whose data lies in `folder`/data.

    One program at a time may use a folder; the caller sees to that. Call `prepare`, start
    `launch()`, then `wait_ready`.
    """

    folder: Path
    port: int
    password: str = field(repr=False)
    database: str = "postgres"
    """Made by `prepare` when the data folder is new."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Server settings that replace or add to DEVELOPMENT_SETTINGS."""
    binaries: PostgresBinaries = field(default_factory=find_postgres)
    sync_new_files: bool = True
    """False: a new data folder is not flushed to disk; for data nobody will miss."""

    @property
    def data_folder(self) -> Path:
        """The data folder; it exists once `prepare` is done."""
        return self.folder / "data"

    def url(self, database: str | None = None) -> str:
        """Returns the connection URL of a database of this server, password included."""
        return (
            f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database or self.database}"
        )

    def prepare(self) -> None:
        """Makes a new data folder, or readies the one there is after a crash.

        Raises EmbeddedServerError when the data folder cannot be made or used.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.data_folder / "PG_VERSION").exists():
            self._initialise()
            return
        self._check_version()
        self._release_data_folder()

    def launch(self) -> Launch:
        """Returns how to start the server; `prepare` must have run."""
        context = _RunContext.of(self.binaries, self.data_folder)
        settings = {
            **DEVELOPMENT_SETTINGS,
            **self.settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Launch(
            argv=(context.program("postgres"), "-D", context.data_argument, *options),
            cwd=self.data_folder,
            env=context.env,
            account=context.account,
            # Fast shutdown: open transactions are rolled back, connections are closed.
            stop_signal=signal.SIGINT,
        )

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None:
        """Returns when the server accepts connections; raises NotReadyError otherwise.

        `timeout` is in seconds; `is_alive` says whether the started process still runs.
        """
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if not is_alive():
                raise NotReadyError("PostgreSQL ended while it was starting.")
            if time.monotonic() > deadline:
                raise NotReadyError(f"PostgreSQL was not ready after {timeout:g} seconds.")
            time.sleep(0.01)

    def is_ready(self) -> bool:
        """Says whether the server asks a new connection to authenticate, so is fully up."""
        if not self._calls_itself_ready():
            # Asked before, it would log each question as a refused connection.
            return False
        parameters = b"user\0" + USER.encode() + b"\0database\0postgres\0\0"
        message = struct.pack("!ii", 8 + len(parameters), _PROTOCOL_3) + parameters
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(message)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def _calls_itself_ready(self) -> bool:
        try:
            lines = (self.data_folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return bool(lines) and lines[-1].strip() == "ready"

    def _initialise(self) -> None:
        # Made beside its final name: a kill halfway must not leave what looks like a data folder.
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(self.data_folder, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        context = _RunContext.of(self.binaries, unfinished)
        if context.account is not None:
            os.chown(unfinished, context.account.uid, context.account.gid)
        context.run(
            "initdb",
            *("-D", context.data_argument, "-U", USER, "--encoding=UTF8", *self._locale()),
            *("--auth=scram-sha-256", "--pwfile=/dev/stdin", "--no-instructions"),
            *(() if self.sync_new_files else ("--no-sync",)),
            stdin=f"{self.password}\n",
        )
        if self.database != "postgres":
            context.run(
                *("postgres", "--single", "-D", context.data_argument),
                *("-c", "log_min_messages=fatal", "postgres"),
                stdin=f'CREATE DATABASE "{self.database}"\n',
            )
        unfinished.rename(self.data_folder)

    def _locale(self) -> tuple[str, ...]:
        # From 17 on PostgreSQL has Unicode rules of its own, the same on every machine.
        if self._program_version() >= 17:
            return ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        return ("--locale=C",)

    def _program_version(self) -> int:
        answer = subprocess.run(
            [self.binaries.bin_folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=10.0,
            check=False,
        )
        match = re.search(r"(\d+)", answer.stdout)
        if match is None:
            raise EmbeddedServerError(
                f"{self.binaries.bin_folder / 'postgres'} does not run: {answer.stderr.strip()}"
            )
        return int(match[1])

    def _check_version(self) -> None:
        data_version = int((self.data_folder / "PG_VERSION").read_text().strip())
        program_version = self._program_version()
        if data_version != program_version:
            raise EmbeddedServerError(
                f"The data in {self.folder} was made by PostgreSQL {data_version}, "
                f"the installed one is {program_version}: install that version, or empty the data."
            )

    def _release_data_folder(self) -> None:
        """Ends a server left over on this data, and sees through a reused process id."""
        pid_file = self.data_folder / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            return
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
        if not pid:
            pid_file.unlink()
        elif process_identity(pid) is None:
            return
        elif self._is_our_server(pid, lines):
            signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
            end_process(pid, signals, timeout=_LEFTOVER_SECONDS)
        else:
            # The id belongs to somebody else by now, and PostgreSQL would refuse to start. It
            # takes its parent's id, ours, for stale as well; the file stays, because its last
            # line lets PostgreSQL see server processes that outlived their postmaster.
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    def _is_our_server(self, pid: int, pid_file_lines: list[str]) -> bool:
        cwd = process_cwd(pid)
        if cwd is not None:
            return cwd == self.data_folder.resolve()
        # No such knowledge on this system: the folder it wrote down decides.
        return len(pid_file_lines) > 1 and Path(pid_file_lines[1]) == self.data_folder.resolve()


@dataclass(frozen=True, slots=True)
class _RunContext:
    """As whom, from where and on which data folder the programs run."""

    bin_folder: Path
    data_folder: Path
    account: Account | None

    @classmethod
    def of(cls, binaries: PostgresBinaries, data_folder: Path) -> Self:
        account = unprivileged_account()
        bin_folder = binaries.bin_folder
        if account is not None and not is_open_to_everybody(bin_folder):
            if binaries.package is None:
                raise EmbeddedServerError(f"The user `nobody` cannot run programs in {bin_folder}.")
            copy = shared_copy(
                binaries.package,
                libraries=binaries.libraries,
                fingerprint_of=bin_folder / "postgres",
            )
            bin_folder = copy / bin_folder.relative_to(binaries.package)
        return cls(bin_folder, data_folder, account)

    @property
    def data_argument(self) -> str:
        return str(_WORKING_FOLDER if self.account else self.data_folder.resolve())

    @property
    def env(self) -> dict[str, str]:
        # TZ saves initdb its search for the machine's time zone.
        return {"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"}

    def program(self, name: str) -> str:
        return str(self.bin_folder / name)

    def run(self, program: str, *arguments: str, stdin: str) -> None:
        """Runs a program to its end; raises EmbeddedServerError with what it said."""
        with tempfile.TemporaryFile() as source:
            source.write(stdin.encode())
            source.seek(0)
            if self.account is not None:
                # /dev/stdin is opened anew by its reader, who must own what is behind it.
                os.fchown(source.fileno(), self.account.uid, self.account.gid)
            result = subprocess.run(
                [self.program(program), *arguments],
                stdin=source,
                capture_output=True,
                text=True,
                errors="replace",
                cwd=self.data_folder,
                env=self.env,
                timeout=_INITDB_SECONDS,
                check=False,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        if result.returncode != 0:
            said = (result.stderr.strip() or result.stdout.strip()).splitlines()[-5:]
            raise EmbeddedServerError(
                f"{program} failed with exit code {result.returncode}: " + " / ".join(said)
            )
