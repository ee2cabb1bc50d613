"""A started process: its output, its end, and how it is ended."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from kongflow_cli.local.output import OutputReader
from kongflow_embedded.launch import Launch, start

Take = Callable[[Sequence[bytes]], None]


class RunningProcess:
    """A process of ours. `ended` is set by `Reaper` with its exit code."""

    def __init__(self, launch: Launch, take: Take, take_stdout: Take) -> None:
        readings = {}
        with ExitStack() as stack:
            writings = []
            for taking in (take, take_stdout):
                reading, writing = os.pipe()
                stack.callback(os.close, writing)
                readings[reading] = taking
                writings.append(writing)
            try:
                self._process = start(launch, stderr=writings[0], stdout=writings[1])
            except BaseException:
                for reading in readings:
                    os.close(reading)
                raise
        self._stop_signal = launch.stop_signal
        self._readers = [OutputReader(reading, taking) for reading, taking in readings.items()]
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        """The process id; also the id of its process group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the end has not been noticed yet."""
        return not self.ended.done()

    def notice_end(self) -> bool:
        """Looks whether the process ended; if so sets `ended`. Says whether it ended."""
        if self.is_alive:
            code = self._process.poll()
            if code is None:
                return False
            for reader in self._readers:
                reader.close()
            self.ended.set_result(code)
        return True

    async def stop(self, seconds: float, insist: signal.Signals, hurry: asyncio.Event) -> None:
        """Ends the process: in order within `seconds`, or at once when `hurry` is set."""
        if self.is_alive and not hurry.is_set():
            self._send(self._stop_signal)
            await self._wait(seconds, hurry)
        if self.is_alive:
            self._send(insist)
            await self._wait(5.0, None)
        if self.is_alive:
            # Its whole group; not yet reaped, so the id is still its own.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            await self.ended

    async def _wait(self, seconds: float, hurry: asyncio.Event | None) -> None:
        waiting: set[asyncio.Future[int] | asyncio.Task[bool]] = {self.ended}
        hurried = asyncio.ensure_future(hurry.wait()) if hurry else None
        if hurried is not None:
            waiting.add(hurried)
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if hurried is not None:
            hurried.cancel()

    def _send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


class Reaper:
    """Notices ends of processes by SIGCHLD, in the thread that started them."""

    def __init__(self) -> None:
        self._processes: set[RunningProcess] = set()

    def install(self) -> None:
        """Begins to listen to SIGCHLD; needs the main thread's event loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.look)

    def remove(self) -> None:
        """Stops listening."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def start(
        self, launch: Launch, take: Take, *, take_stdout: Take | None = None
    ) -> RunningProcess:
        """Starts a process whose end will be noticed and whose lines are handed to `take`.

        With `take_stdout` the lines of its standard output go there instead.
        """
        process = RunningProcess(launch, take, take_stdout or take)
        self._processes.add(process)
        # It may have ended before it was in the set.
        self.look()
        return process

    def look(self) -> None:
        """Notices every end there is."""
        self._processes = {each for each in self._processes if not each.notice_end()}


def how_it_ended(code: int) -> str:
    """Returns an exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
