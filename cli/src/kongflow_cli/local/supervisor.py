"""Brings a system up, watches it, and ends it: `kongflow up` without the command line."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from kongflow_cli.errors import CliError
from kongflow_cli.local.connection_file import Connection
from kongflow_cli.local.output import TAIL_FOLLOWS, OutputBoard, explain
from kongflow_cli.local.preparation import Preparation
from kongflow_cli.local.program import UNUSABLE, Program, Task
from kongflow_cli.local.running_process import Reaper, RunningProcess, how_it_ended
from kongflow_cli.local.state_folder import StateFolder
from kongflow_cli.local.watched_program import WatchedProgram

_TASK_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """What a system consists of, in the order in which it comes up."""

    stores: Sequence[Program]
    migrations: Sequence[Task]
    """Run side by side when the stores are up."""
    bootstrap: Task
    """Run after the migrations; prints a JSON object with the keys of the first environment."""
    services: Sequence[Program]
    stop_groups: Sequence[Sequence[str]]
    """Names in the order in which they are ended, side by side within a group."""
    grpc: Mapping[str, str]
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    preparation: Preparation | None = None
    """Knows whether migrations and bootstrap can be skipped; None if they never are."""

    @property
    def names(self) -> list[str]:
        """Every process that stays, stores first."""
        return [program.name for program in (*self.stores, *self.services)]


class Supervisor:
    """One system, from the start to the end of this process."""

    def __init__(
        self,
        plan: SystemPlan,
        state: StateFolder,
        board: OutputBoard,
        *,
        ready_seconds: float,
        on_ready: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._state = state
        self._board = board
        self._ready_seconds = ready_seconds
        self._on_ready = on_ready
        self._reaper = Reaper()
        self._hurry = asyncio.Event()
        self._programs: dict[str, WatchedProgram] = {}
        self._tasks: dict[str, RunningProcess] = {}
        self._connection: Connection | None = None
        # Done when the system is to end: by a signal, or by what made it fail.
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Runs until a signal asks for the end; raises CliError when the system does not come up.

        Ends everything it started, whatever the reason. Needs the main thread.
        """
        self._listen()
        bringing_up = asyncio.create_task(self._bring_up_in_time())
        self._watch(bringing_up)
        try:
            await self._end
        finally:
            bringing_up.cancel()
            await asyncio.wait({bringing_up})
            await self._shut_down()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._reaper.install()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the end of the terminal is meant to be ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._ask_to_end)

    def _ask_to_end(self) -> None:
        if not self._end.done():
            self._board.say("ending (once more to hurry)")
            self._end.set_result(None)
        elif not self._hurry.is_set():
            self._board.say("hurrying")
            self._hurry.set()

    def _watch(self, task: asyncio.Task[None]) -> None:
        """Lets a failure of the task end the system."""
        task.add_done_callback(self._note_failure)

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        summary = (str(error).splitlines() or [type(error).__name__])[0].removesuffix(TAIL_FOLLOWS)
        if self._end.done():
            self._board.say(f"{task.get_name()}: {summary}")
        else:
            self._board.say(f"{summary} Ending.")
            self._end.set_exception(error)

    async def _bring_up_in_time(self) -> None:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(self._ready_seconds):
                await self._bring_up()
        except TimeoutError:
            raise CliError(self._explain_delay()) from None
        except BaseExceptionGroup as failures:
            # Of those that failed side by side one is told; the log files have the others.
            raise _first_of(failures) from None
        seconds = time.monotonic() - begin
        line = f"ready in {seconds:.1f} s: {self._addresses()}"
        self._board.say(line)
        self._on_ready(line)

    async def _bring_up(self) -> None:
        # Imported while the stores start: asking for health should not wait for it.
        importing = asyncio.create_task(asyncio.to_thread(__import__, "grpc.aio"))
        await self._start(self._plan.stores)
        preparation = self._plan.preparation
        answer = await asyncio.to_thread(preparation.earlier_answer) if preparation else None
        if answer is None:
            async with asyncio.TaskGroup() as group:
                for task in self._plan.migrations:
                    group.create_task(self._run_task(task))
        starting = self._start(self._plan.services)
        if answer is None:
            answer = await self._bootstrap_beside(starting)
        else:
            await starting
        await importing
        self._connection = self._connect_with(answer)
        self._record()

    async def _bootstrap_beside(self, starting: Coroutine[None, None, None]) -> bytes:
        """Makes the first keys while the services start; returns what the bootstrap printed."""
        async with asyncio.TaskGroup() as group:
            bootstrap = group.create_task(self._run_task(self._plan.bootstrap))
            group.create_task(starting)
        if self._plan.preparation is not None:
            await asyncio.to_thread(self._plan.preparation.remember, bootstrap.result())
        return bootstrap.result()

    async def _start(self, programs: Sequence[Program]) -> None:
        for program in programs:
            watched = WatchedProgram(
                program,
                self._reaper,
                self._board,
                ready_seconds=self._ready_seconds,
                on_start=self._record,
            )
            self._programs[program.name] = watched
            self._watch(watched.keep_running())
        await asyncio.gather(*(self._programs[each.name].wait_ready() for each in programs))

    async def _run_task(self, task: Task) -> bytes:
        """Runs a command to its end; returns what it printed on its standard output."""
        output = self._board.of(task.name)
        printed: list[bytes] = []
        process = self._reaper.start(task.launch(), output.take, take_stdout=printed.extend)
        self._tasks[task.name] = process
        self._record()
        try:
            code = await asyncio.shield(process.ended)
        finally:
            await process.stop(_TASK_STOP_SECONDS, signal.SIGKILL, self._hurry)
            del self._tasks[task.name]
        if code != 0:
            sentence = f"{task.name} failed ({how_it_ended(code)})."
            raise CliError(explain(sentence, output), UNUSABLE if code == UNUSABLE else 1)
        return b"\n".join(printed)

    def _connect_with(self, answer: bytes) -> Connection:
        try:
            keys = json.loads(answer)
            return Connection(
                api_key=str(keys["api_key"]),
                public_key=str(keys["public_key"]),
                operator_token=str(keys["operator_token"]),
                grpc=self._plan.grpc,
                database_url=self._plan.database_url,
                redis_url=self._plan.redis_url,
            )
        except (ValueError, TypeError, KeyError) as error:
            raise CliError(
                f"{self._plan.bootstrap.name} did not print the keys it made ({error!r})."
            ) from None

    def _record(self) -> None:
        """Writes down the processes as they are now."""
        pids = {
            name: watched.pid for name, watched in self._programs.items() if watched.pid is not None
        }
        tasks = {name: process.pid for name, process in self._tasks.items()}
        self._state.record_processes({**pids, **tasks})
        if self._connection is not None and not self._end.done():
            self._connection.write(self._state.connection_file, pids)

    async def _shut_down(self) -> None:
        self._state.connection_file.unlink(missing_ok=True)
        for process in list(self._tasks.values()):
            await process.stop(_TASK_STOP_SECONDS, signal.SIGKILL, self._hurry)
        for group in self._plan.stop_groups:
            await asyncio.gather(
                *(
                    self._programs[name].stop(self._hurry)
                    for name in group
                    if name in self._programs
                )
            )
        self._state.record_processes({})
        self._reaper.remove()

    def _addresses(self) -> str:
        shown = [
            f"{program.name} {program.address}"
            for program in (*self._plan.services, *self._plan.stores)
            if program.address
        ]
        return f"{', '.join(shown)}; keys in {self._state.connection_file}"

    def _explain_delay(self) -> str:
        late = [name for name, watched in self._programs.items() if not watched.is_ready]
        late += list(self._tasks)
        lines = [f"Not ready after {self._ready_seconds:g} seconds: waiting for {', '.join(late)}."]
        for name in late:
            lines += self._board.of(name).tail()
        return "\n".join(lines)


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
