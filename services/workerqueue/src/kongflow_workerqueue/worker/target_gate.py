"""The gate in front of a target: its circuits, and what happens when they open and close."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_common.supervision import BackgroundTasks
from kongflow_workerqueue.application.ports import MaintenanceLedger
from kongflow_workerqueue.application.targets import TaskTarget
from kongflow_workerqueue.domain.outcome import TargetUnavailable
from kongflow_workerqueue.domain.states import WAITING_FOR_KIND, waiting_for_target
from kongflow_workerqueue.worker.circuit import BACKOFF, Circuit, Parking

__all__ = ["TargetGate", "WaitingJobs"]

logger = logging.getLogger(__name__)

_RELEASE_LIMIT = 1_000
_RELEASE_PAUSE_SECONDS = 0.2
_STRAGGLERS_SECONDS = 0.5
_ALONE = timedelta(seconds=2)
"""How long a single job waits that could not be asked while others of its kind could."""


class WaitingJobs:
    """The jobs that wait for a target or for their kind to be known.

    `on_released` gets the number of jobs by queue that became available.
    """

    def __init__(
        self, ledger: MaintenanceLedger, on_released: Callable[[Mapping[str, int]], None]
    ) -> None:
        self._ledger = ledger
        self._on_released = on_released

    async def release(self, waiting_for: str, kinds: Iterable[str] = ()) -> None:
        """Makes all of them available, however long PostgreSQL is away meanwhile."""
        names = tuple(kinds)
        while True:
            try:
                released = await self._ledger.release_waiting(
                    waiting_for, kinds=names, limit=_RELEASE_LIMIT
                )
            except (DependencyUnavailable, Contended):
                await asyncio.sleep(_RELEASE_PAUSE_SECONDS)
                continue
            if released:
                self._on_released(released)
            if sum(released.values()) < _RELEASE_LIMIT:
                return

    async def release_known(self, kinds: Iterable[str]) -> None:
        """Makes jobs available whose kind nobody knew and somebody knows now."""
        await self.release(WAITING_FOR_KIND, kinds)


class TargetGate:
    """Decides which calls to one target are made, and lets its waiting jobs go when it is back.

    When no connection can be made the whole target is held back until it says that it is ready;
    when its server answered that it cannot be asked, only the kind is.
    """

    def __init__(
        self,
        name: str,
        target: TaskTarget,
        waiting: WaitingJobs,
        tasks: BackgroundTasks,
        parking: Parking,
    ) -> None:
        self.name = name
        self.target = target
        self._waiting_for = waiting_for_target(name)
        self._waiting = waiting
        self._tasks = tasks
        self._parking = parking
        self._circuit = Circuit(parking)
        self._kind_circuits: dict[str, Circuit] = {}

    async def first_contact(self) -> None:
        """Releases, once the target is ready, what waits since before this worker's time."""
        await self._until_ready()
        await self._waiting.release(self._waiting_for)

    def open_seconds(self) -> float:
        """How long the target could not be asked; 0 while it can."""
        return self._circuit.open_seconds()

    def lets_through(self, kind: str) -> bool:
        """Tells whether a call may be made; then one of the three below is to be called."""
        if not self._circuit.lets_through():
            return False
        if not self._kind_circuit(kind).lets_through():
            self._circuit.given_up()
            return False
        return True

    def answered(self, kind: str) -> None:
        """Notes that the target answered a call."""
        if self._circuit.answered():
            self._target_is_back()
        if self._kind_circuit(kind).answered():
            logger.info("kind %s can be asked again", kind)
            self._release(kind)

    def unanswered(self, kind: str, why: str, *, connected: bool) -> None:
        """Notes that the target could not be asked."""
        if connected:
            # Its server spoke: the target as such is there.
            if self._circuit.answered():
                self._target_is_back()
            if self._kind_circuit(kind).unanswered():
                logger.warning("kind %s cannot be asked; its jobs wait: %s", kind, why)
            return
        self._kind_circuit(kind).given_up()
        if self._circuit.unanswered():
            logger.warning("target %s cannot be asked; its jobs wait: %s", self.name, why)
            _ = self._tasks.supervise(f"watch of {self.name}", self._watch)

    def given_up(self, kind: str) -> None:
        """Notes that a call ended without telling anything about the target."""
        self._circuit.given_up()
        self._kind_circuit(kind).given_up()

    def parked(self, kind: str) -> TargetUnavailable:
        """Says how a job waits that is held back or could not be asked."""
        for circuit in (self._circuit, self._kind_circuit(kind)):
            if circuit.is_open:
                return TargetUnavailable(self._waiting_for, circuit.parking_time())
        # Its neighbours were answered: nothing closes after which it would be released.
        return TargetUnavailable(self._waiting_for, _ALONE)

    def _kind_circuit(self, kind: str) -> Circuit:
        circuit = self._kind_circuits.get(kind)
        if circuit is None:
            circuit = self._kind_circuits[kind] = Circuit(self._parking)
        return circuit

    def _target_is_back(self) -> None:
        logger.info("target %s can be asked again", self.name)
        self._release()

    def _release(self, *kinds: str) -> None:
        async def release() -> None:
            await self._waiting.release(self._waiting_for, kinds)
            # Outcomes are written a little later: what was parked just now was not there yet.
            await asyncio.sleep(_STRAGGLERS_SECONDS)
            await self._waiting.release(self._waiting_for, kinds)

        _ = self._tasks.supervise(f"release of what waits for {self.name}", release)

    async def _watch(self) -> None:
        await self._until_ready(lambda: not self._circuit.is_open)
        if self._circuit.answered():
            self._target_is_back()

    async def _until_ready(self, is_settled: Callable[[], bool] = lambda: False) -> None:
        failures = 0
        while not is_settled() and not await self.target.is_ready():
            failures += 1
            await asyncio.sleep(BACKOFF.delay(failures) / 2)
