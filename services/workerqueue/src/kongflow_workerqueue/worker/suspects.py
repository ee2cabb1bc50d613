"""Runs suspected jobs apart from the others: one target's at a time, by all workers together."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import ClaimedJob, MaintenanceLedger
from kongflow_workerqueue.application.suspect_ledger import SuspectLedger
from kongflow_workerqueue.domain.suspicion import SUSPECTED, waiting_alone
from kongflow_workerqueue.worker.call_runner import Call, CallRunner
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.lease import WorkerLease
from kongflow_workerqueue.worker.target_gate import TargetGate

__all__ = ["LARGEST_GROUP", "SuspectSettings", "Suspects"]

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_STEP_SECONDS = 0.05
_WRITE_SECONDS = 0.005
_TURN = timedelta(seconds=2)
"""How long a worker may go on with one target before another gets the turn, and how long a
suspect keeps the others of its target waiting: one that runs for minutes must not."""
LARGEST_GROUP = 64
"""After a loss so many are left at most to run one by one."""


@dataclass(frozen=True, slots=True)
class SuspectSettings:
    """How long a target must have been connected, and no suspect of it lost, for the next one.

    Without it a target that is killed again and again would make poison of whatever is tried. The
    first try after an outage needs less of it: it counts against nobody twice.
    """

    quiet_seconds: float = 5.0
    first_quiet_seconds: float = 1.0
    drain_seconds: float = 20.0


class Suspects:
    """This worker's part in running the suspects of all targets.

    Workers take turns at a target by the ledger, like at the duties. The jobs of its lanes go on
    meanwhile.
    """

    def __init__(
        self,
        ledger: SuspectLedger,
        turns: MaintenanceLedger,
        lease: WorkerLease,
        gates: Mapping[str, TargetGate],
        runner: CallRunner,
        finisher: Finisher,
        settings: SuspectSettings,
    ) -> None:
        self._ledger = ledger
        self._turns = turns
        self._lease = lease
        self._gates = {waiting_alone(name): gate for name, gate in gates.items()}
        self._runner = runner
        self._finisher = finisher
        self._settings = settings
        self._calls: dict[asyncio.Task[None], Call] = {}
        self._connected_since: dict[str, float] = {}
        self._group_size: dict[str, int] = {}
        self._draining = False

    async def run(self) -> None:
        """Looks for suspects once a second, and runs those whose turn it is, until cancelled."""
        while True:
            try:
                found = await self._look()
            except (DependencyUnavailable, Contended) as error:
                logger.debug("suspects wait: %s", error)
                found = False
            await asyncio.sleep(_STEP_SECONDS if found else _LOOK_SECONDS)

    async def drain(self) -> list[ClaimedJob]:
        """Begins no more calls and finishes those that run, as far as the time allows.

        Returns the jobs whose calls had to be given up.
        """
        self._draining = True
        calls = dict(self._calls)
        if calls:
            _, late = await asyncio.wait(calls, timeout=self._settings.drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        return [job for call in calls.values() for job in call.unsettled.values()]

    async def _look(self) -> bool:
        """Goes on with the suspects there are; answers whether there are any."""
        if self._draining or not self._lease.is_held:
            return False
        suspected = await self._ledger.suspected()
        for waiting_for in self._connected_since.keys() - suspected.keys():
            del self._connected_since[waiting_for]
            self._group_size.pop(waiting_for, None)
        ours = suspected.keys() & self._gates.keys()
        results = await asyncio.gather(
            *(self._go_on(waiting_for, suspected[waiting_for]) for waiting_for in ours),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return bool(ours)

    async def _go_on(self, waiting_for: str, suspicion: int) -> None:
        """Goes on with the suspects of one target, if it is this worker's turn."""
        quiet = self._settings.quiet_seconds
        if suspicion == SUSPECTED:
            quiet = min(quiet, self._settings.first_quiet_seconds)
        if await self._is_quiet(waiting_for, quiet) and await self._turns.try_duty(
            waiting_for, every=_TURN
        ):
            await self._take_turn(waiting_for, timedelta(seconds=quiet))

    async def _is_quiet(self, waiting_for: str, seconds: float) -> bool:
        """Whether the target has been connected for long enough, as far as steps of 50 ms show."""
        target = self._gates[waiting_for].target
        if not target.is_connected:
            self._connected_since.pop(waiting_for, None)
            self._group_size.pop(waiting_for, None)
            # Asking connects. Whether it is ready shows below, when there is a connection.
            _ = await target.is_ready()
            if not target.is_connected:
                return False
        since = self._connected_since.setdefault(waiting_for, time.monotonic())
        if time.monotonic() - since < seconds:
            return False
        return await target.is_ready()

    async def _take_turn(self, waiting_for: str, quiet: timedelta) -> None:
        ends_at = time.monotonic() + _TURN.total_seconds()
        target = self._gates[waiting_for].target
        while not self._draining and target.is_connected:
            if time.monotonic() >= ends_at or not self._lease.is_held:
                return
            size = self._group_size.get(waiting_for, 1)
            jobs = await self._ledger.claim_suspects(
                self._lease.worker_id, waiting_for, quiet=quiet, alone=_TURN, limit=size
            )
            if not jobs:
                # None is left, or one was lost.
                self._group_size.pop(waiting_for, None)
                return
            _, late = await asyncio.wait(self._begin(jobs), timeout=_TURN.total_seconds())
            # The ledger gives no other out before it knows what became of these.
            while not late and any(  # noqa: ASYNC110
                self._finisher.knows(job.id, job.turn) for job in jobs
            ):
                await asyncio.sleep(_WRITE_SECONDS)
            self._group_size[waiting_for] = min(size * 2, LARGEST_GROUP)
            if late:
                # They go on, and others may begin beside them.
                return

    def _begin(self, jobs: Sequence[ClaimedJob]) -> list[asyncio.Task[None]]:
        self._finisher.expect(jobs)
        return [self._begin_call(call) for call in self._runner.calls(jobs, alone=True)]

    def _begin_call(self, call: Call) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(
            self._runner.run(call), name=f"suspects of kind {call.kind_name}"
        )
        self._calls[task] = call
        task.add_done_callback(self._calls.pop)
        return task
