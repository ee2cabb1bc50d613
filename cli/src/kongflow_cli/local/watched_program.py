"""Keeps one program running: starts it, and again with back-off whenever it dies."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from kongflow_cli.errors import CliError
from kongflow_cli.local.output import OutputBoard, explain
from kongflow_cli.local.program import UNUSABLE, Program
from kongflow_cli.local.running_process import Reaper, RunningProcess, how_it_ended
from kongflow_embedded.errors import EmbeddedServerError, NotReadyError

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10.0
ATTEMPTS_TO_START = 5


class BackOff:
    """How long to wait before the next start: doubling, and short again after a steady life."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_SECONDS

    def pause_after(self, lifetime: float) -> float:
        """Returns the seconds to wait after a life of `lifetime` seconds."""
        if lifetime >= STEADY_SECONDS:
            self._next = FIRST_PAUSE_SECONDS
        pause = self._next
        self._next = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return pause


class WatchedProgram:
    """One program over all the lives of its process."""

    def __init__(
        self,
        program: Program,
        reaper: Reaper,
        board: OutputBoard,
        *,
        ready_seconds: float,
        on_start: Callable[[], None],
    ) -> None:
        self._program = program
        self._reaper = reaper
        self._board = board
        self._output = board.of(program.name)
        self._ready_seconds = ready_seconds
        self._on_start = on_start
        self._process: RunningProcess | None = None
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._announced = asyncio.Event()
        self._announcement = f'"message":"{program.ready_message}"'.encode()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process started last; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def is_ready(self) -> bool:
        """Whether the program could be used once."""
        return self._ready.is_set()

    def keep_running(self) -> asyncio.Task[None]:
        """Begins; the task ends only by `stop`, or by failing when the program does not start."""
        self._keeping = asyncio.create_task(self._keep(), name=self._program.name)
        return self._keeping

    async def wait_ready(self) -> None:
        """Returns when the program could be used for the first time."""
        await self._ready.wait()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ends the program for good."""
        self._stopping.set()
        if self._process is not None:
            await self._process.stop(self._program.stop_seconds, self._program.insist_signal, hurry)
        if self._keeping is not None:
            await asyncio.wait({self._keeping})

    async def _keep(self) -> None:
        back_off = BackOff()
        failures = 0
        while not self._stopping.is_set():
            begin = time.monotonic()
            reason = await self._live()
            if self._stopping.is_set():
                return
            failures += 1
            if not self._ready.is_set() and failures >= ATTEMPTS_TO_START:
                sentence = f"{self._program.name} does not start ({reason})."
                raise CliError(explain(sentence, self._output))
            pause = back_off.pause_after(time.monotonic() - begin)
            self._board.say(f"{self._program.name} ended ({reason}), starting again in {pause:g} s")
            await self._pause(pause)

    async def _live(self) -> str:
        """Lives one life of the process; returns how it ended."""
        try:
            await self._program.prepare()
            if self._stopping.is_set():
                return "stopped"
            self._announced.clear()
            process = self._reaper.start(self._program.launch(), self._take)
        except (EmbeddedServerError, OSError) as error:
            return str(error)
        again = self._process is not None
        self._process = process
        self._on_start()
        becoming_ready = asyncio.create_task(self._become_ready(process, again=again))
        try:
            code = await asyncio.shield(process.ended)
            self._check_usable(code)
            return how_it_ended(code)
        finally:
            becoming_ready.cancel()
            await asyncio.wait({becoming_ready})

    def _check_usable(self, code: int) -> None:
        """Raises CliError when another start would end in the same way.

        What worked once may work again when what it was told is mended: it is started on.
        """
        if code == self._program.unusable_code and not self._ready.is_set():
            sentence = f"{self._program.name} cannot use its settings ({how_it_ended(code)})."
            raise CliError(explain(sentence, self._output), exit_code=UNUSABLE)

    def _take(self, lines: Sequence[bytes]) -> None:
        self._output.take(lines)
        if not self._announced.is_set() and any(self._announcement in line for line in lines):
            self._announced.set()

    async def _become_ready(self, process: RunningProcess, *, again: bool) -> None:
        try:
            await self._program.wait_ready(self._ready_seconds, lambda: process.is_alive)
            if self._program.ready_message:
                await self._wait_announced()
        except NotReadyError as error:
            if process.is_alive:
                # Neither serving nor gone: a new process is the only cure there is.
                self._board.say(f"{error} Ending {self._program.name} to start it again.")
                await process.stop(self._program.stop_seconds, signal.SIGKILL, asyncio.Event())
            return
        self._ready.set()
        if again:
            self._board.say(f"{self._program.name} is back (process {process.pid})")

    async def _wait_announced(self) -> None:
        """Returns when the process says that it works; cancelled when it ends before."""
        try:
            await asyncio.wait_for(self._announced.wait(), self._ready_seconds)
        except TimeoutError:
            raise NotReadyError(f"{self._program.name} did not begin to work in time.") from None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
