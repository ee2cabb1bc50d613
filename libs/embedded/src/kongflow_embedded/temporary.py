"""Servers for tests: in a temporary folder, gone with the block that wanted them."""

import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Generic, Protocol, TypeVar

from kongflow_embedded.errors import EmbeddedServerError, NotReadyError
from kongflow_embedded.launch import Launch, start, stop
from kongflow_embedded.ports import free_ports
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.valkey import ValkeyServer

_READY_SECONDS = 30.0
_PORT_ATTEMPTS = 3


class EmbeddedServer(Protocol):
    """What PostgresServer and ValkeyServer have in common."""

    @property
    def port(self) -> int: ...

    def prepare(self) -> None: ...

    def launch(self) -> Launch: ...

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None: ...


Server = TypeVar("Server", bound=EmbeddedServer)


class RunningServer(Generic[Server]):
    """A server and its process, which a test may stop, kill and start again on the same port."""

    def __init__(self, server: Server, log: IO[bytes]) -> None:
        self.server = server
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The loopback port, the same in every life of the process."""
        return self.server.port

    @property
    def pid(self) -> int:
        """The process id; raises EmbeddedServerError while the server is stopped."""
        if self._process is None:
            raise EmbeddedServerError("The server is stopped.")
        return self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it answers; does nothing when it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self.server.prepare()
        process = start(self.server.launch(), stdout=self._log, stderr=self._log)
        self._process = process
        try:
            self.server.wait_ready(_READY_SECONDS, lambda: process.poll() is None)
        except NotReadyError as error:
            self.kill()
            raise NotReadyError(f"{error} Its log ends:\n{self.log_tail()}") from None

    def stop(self) -> None:
        """Ends the server in order, nothing is lost; does nothing when it is stopped."""
        if self._process is not None:
            # Idle or stuck, a test server is not worth a long wait.
            stop(
                self._process,
                self.server.launch().stop_signal,
                timeout=10.0,
                last_resort=signal.SIGQUIT,
            )
            self._process = None

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self._process is not None:
            # PostgreSQL's sessions would answer for a moment after their server is gone.
            children = _children(self._process.pid)
            self._process.kill()
            self._process.wait()
            self._process = None
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    def log_tail(self, size: int = 4000) -> str:
        """Returns the last `size` bytes of what the server wrote."""
        position = self._log.seek(0, 2)
        self._log.seek(max(0, position - size))
        text = self._log.read().decode(errors="replace")
        self._log.seek(0, 2)
        return text


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def temporary_postgres(
    settings: Mapping[str, str] | None = None,
) -> Iterator[RunningServer[PostgresServer]]:
    """Runs an empty PostgreSQL of its own for the length of the block; leaves nothing behind.

    `settings` replace or add to the development settings. Never uses DATABASE_URL. Enter it in
    the main thread: the server ends when the thread that started it does.
    """

    def make(folder: Path, port: int, password: str) -> PostgresServer:
        return PostgresServer(
            folder=folder,
            port=port,
            password=password,
            settings=settings or {},
            sync_new_files=False,
        )

    with tempfile.TemporaryDirectory(prefix="kongflow-postgres-") as folder:
        yield from _run(Path(folder), make)


@contextmanager
def temporary_valkey(
    settings: Mapping[str, str] | None = None,
) -> Iterator[RunningServer[ValkeyServer]]:
    """Runs an empty Valkey of its own for the length of the block; leaves nothing behind.

    `settings` replace or add to the development settings. Never uses REDIS_URL. Enter it in
    the main thread: the server ends when the thread that started it does.
    """

    def make(folder: Path, port: int, password: str) -> ValkeyServer:
        return ValkeyServer(folder=folder, port=port, password=password, settings=settings or {})

    with tempfile.TemporaryDirectory(prefix="kongflow-valkey-") as folder:
        yield from _run(Path(folder), make)


def _run(folder: Path, make: Callable[[Path, int, str], Server]) -> Iterator[RunningServer[Server]]:
    password = secrets.token_hex(16)
    with (folder / "log").open("a+b") as log:
        running = _started(folder, make, password, log)
        try:
            yield running
        finally:
            running.stop()


def _started(
    folder: Path, make: Callable[[Path, int, str], Server], password: str, log: IO[bytes]
) -> RunningServer[Server]:
    for attempt in range(_PORT_ATTEMPTS):
        running = RunningServer(make(folder, free_ports(1)[0], password), log)
        try:
            running.start()
        except NotReadyError:
            # Between choosing a free port and listening on it somebody else may have taken it.
            if attempt == _PORT_ATTEMPTS - 1:
                raise
        else:
            return running
    raise AssertionError("unreachable")
