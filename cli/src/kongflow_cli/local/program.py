"""What the supervisor runs: programs that stay, and tasks that run to their end."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kongflow_cli.local.health import wait_serving
from kongflow_embedded.launch import Launch

UNUSABLE = 2
"""The exit code with which KongFlow's own processes say that their settings are of no use."""


class EmbeddedServer(Protocol):
    """What kongflow_embedded's servers have in common; its methods block."""

    def prepare(self) -> None: ...

    def launch(self) -> Launch: ...

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None: ...


class Program(Protocol):
    """A program that is started, watched, started again when it dies, and stopped."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str:
        """Where it listens for clients; empty if nowhere."""
        ...

    @property
    def stop_seconds(self) -> float:
        """How long an orderly end may take."""
        ...

    @property
    def insist_signal(self) -> signal.Signals:
        """What ends it when an orderly end took too long."""
        ...

    @property
    def ready_message(self) -> str:
        """The log message with which it says that it works; empty if `wait_ready` is enough."""
        ...

    @property
    def unusable_code(self) -> int | None:
        """The exit code with which it says that it cannot use what it was told; None if none."""
        ...

    async def prepare(self) -> None:
        """Makes ready what a start needs; before each start. Raises EmbeddedServerError."""
        ...

    def launch(self) -> Launch: ...

    async def wait_ready(self, seconds: float, is_alive: Callable[[], bool]) -> None:
        """Returns when it can be used; raises NotReadyError."""
        ...


@dataclass(frozen=True, slots=True)
class StoreProgram:
    """PostgreSQL or Valkey."""

    name: str
    address: str
    server: EmbeddedServer
    insist_signal: signal.Signals
    stop_seconds: float = 15.0
    ready_message: str = ""
    unusable_code: int | None = None

    async def prepare(self) -> None:
        """Makes the data folder, or recovers it."""
        await asyncio.to_thread(self.server.prepare)

    def launch(self) -> Launch:
        """Returns how to start the server."""
        return self.server.launch()

    async def wait_ready(self, seconds: float, is_alive: Callable[[], bool]) -> None:
        """Returns when the server takes connections."""
        given_up = False
        try:
            await asyncio.to_thread(
                self.server.wait_ready, seconds, lambda: is_alive() and not given_up
            )
        finally:
            # The thread outlives a cancellation otherwise.
            given_up = True


@dataclass(frozen=True, slots=True)
class ServiceProgram:
    """One of KongFlow's own processes."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    listeners: tuple[str, ...] = ()
    """host:port of each gRPC listener whose health tells that the process serves."""
    address: str = ""
    stop_seconds: float = 15.0
    insist_signal: signal.Signals = signal.SIGKILL
    ready_message: str = ""
    unusable_code: int | None = UNUSABLE

    async def prepare(self) -> None:
        """Needs nothing."""

    def launch(self) -> Launch:
        """Returns how to start the process."""
        return Launch(argv=self.argv, cwd=self.cwd, env=self.env)

    async def wait_ready(self, seconds: float, is_alive: Callable[[], bool]) -> None:
        """Returns when every listener answers that it serves."""
        await asyncio.gather(
            *(wait_serving(listener, seconds, is_alive) for listener in self.listeners)
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A command that runs to its end before the system is ready."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path

    def launch(self) -> Launch:
        """Returns how to start the command."""
        return Launch(argv=self.argv, cwd=self.cwd, env=self.env)
