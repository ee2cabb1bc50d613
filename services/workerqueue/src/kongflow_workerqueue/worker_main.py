"""Puts a worker together: the only place that constructs its parts."""

import asyncio
import contextlib
import logging
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from arq.connections import ArqRedis
from prometheus_client import CollectorRegistry, Counter, Gauge

from kongflow_common.auth.service_tokens import ServiceTokenSigner, parse_private_key
from kongflow_common.clock import SystemClock
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import foreign_channel, service_channel
from kongflow_common.rpc.metrics_endpoint import serve_metrics
from kongflow_common.rpc.process import run
from kongflow_common.supervision import BackgroundTasks
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.ledger_limits import PostgresLimitLedger
from kongflow_workerqueue.adapters.ledger_maintenance import PostgresMaintenanceLedger
from kongflow_workerqueue.adapters.ledger_periodic import PostgresPeriodicLedger
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.adapters.oversight_postgres import PostgresOversight
from kongflow_workerqueue.adapters.redis_connection import open_redis, queue_key
from kongflow_workerqueue.adapters.target_grpc import GrpcTarget
from kongflow_workerqueue.adapters.wake_postgres import PostgresWakeUps
from kongflow_workerqueue.adapters.wake_redis import RedisWakeUps
from kongflow_workerqueue.adapters.window_redis import RedisWindow
from kongflow_workerqueue.application.admit_limited import AdmitLimited
from kongflow_workerqueue.application.periodic_jobs import DeclaredPeriodicJob
from kongflow_workerqueue.application.ports import Window, WindowUnavailable
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, read_catalogue
from kongflow_workerqueue.catalogue.periodic_reader import periodic_jobs
from kongflow_workerqueue.duties.duty import Duty, QueuesFilled, keep_doing
from kongflow_workerqueue.duties.make_due import MakeDue
from kongflow_workerqueue.duties.prune_finished import PruneFinished, Retention
from kongflow_workerqueue.duties.readmit_stale import ReadmitStale
from kongflow_workerqueue.duties.report_depths import ReportDepths
from kongflow_workerqueue.duties.sweep_limits import SweepLimits
from kongflow_workerqueue.duties.take_back_orphans import TakeBackOrphans
from kongflow_workerqueue.duties.tick_periodic_jobs import TickPeriodicJobs
from kongflow_workerqueue.duties.wait_alarm import WaitAlarm
from kongflow_workerqueue.worker.backlog_net import BacklogNet
from kongflow_workerqueue.worker.call_runner import CallRunner
from kongflow_workerqueue.worker.circuit import Parking
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.lane import Lane, LaneSettings
from kongflow_workerqueue.worker.lease import WorkerLease
from kongflow_workerqueue.worker.limit_keeper import LimitKeeper
from kongflow_workerqueue.worker.orders import Orders
from kongflow_workerqueue.worker.outcome_log import OutcomeLog
from kongflow_workerqueue.worker.queue_worker import QueueWorker
from kongflow_workerqueue.worker.reconciliation import Reconciliation
from kongflow_workerqueue.worker.suspects import Suspects, SuspectSettings
from kongflow_workerqueue.worker.target_gate import TargetGate, WaitingJobs
from kongflow_workerqueue.worker.timed_target import CallTimes, TimedTarget
from kongflow_workerqueue.worker_settings import WorkerSettings

__all__ = ["open_worker", "run_worker", "work"]

SERVICE = "workerqueue"


async def work(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Runs a worker until `stop` is set, and ends it in order."""
    # Every five seconds per lane, and nothing in it that metrics do not say.
    logging.getLogger("arq.worker").setLevel(logging.WARNING)
    async with open_worker(settings) as worker:
        await worker.run(stop)


@asynccontextmanager
async def open_worker(
    settings: WorkerSettings, *, burst: bool = False
) -> AsyncIterator[QueueWorker]:
    """Constructs a worker; what it opened is closed at the end of the block."""
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        database = await stack.enter_async_context(
            open_ledger_database(
                url,
                pool_size=settings.database_pool_size,
                application_name=f"kongflow-worker {settings.instance}"[:63],
            )
        )
        redis = open_redis(settings.redis_url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        tasks = await stack.enter_async_context(BackgroundTasks())
        registry = CollectorRegistry()
        if settings.metrics_listen:
            stack.callback(serve_metrics(settings.metrics_listen, registry))
        catalogue = read_catalogue(settings.task_descriptor_sets)
        yield _Assembly(
            settings=settings,
            ledger=PostgresWorkerLedger(database),
            limits=PostgresLimitLedger(database),
            maintenance=PostgresMaintenanceLedger(database),
            oversight=PostgresOversight(database),
            periodic=PostgresPeriodicLedger(database),
            redis=redis,
            tasks=tasks,
            registry=registry,
            catalogue=catalogue,
            targets=_targets(settings, catalogue, stack),
            burst=burst,
        ).worker(url)


def run_worker(settings: WorkerSettings) -> int:
    """Runs a worker as this process; returns its exit code."""
    return run(partial(work, settings))


@dataclass(frozen=True, slots=True)
class _Assembly:
    """What the parts of a worker are made of."""

    settings: WorkerSettings
    ledger: PostgresWorkerLedger
    limits: PostgresLimitLedger
    maintenance: PostgresMaintenanceLedger
    oversight: PostgresOversight
    periodic: PostgresPeriodicLedger
    redis: ArqRedis
    tasks: BackgroundTasks
    registry: CollectorRegistry
    catalogue: KindCatalogue
    targets: Mapping[str, GrpcTarget]
    burst: bool

    def worker(self, database_url: str) -> QueueWorker:
        lanes: dict[str, Lane] = {}

        def wake(queue: str, count: int) -> None:
            lanes[queue].wake(count)

        def wake_all() -> None:
            for lane in lanes.values():
                lane.wake()

        def ask_ledger(queue: str) -> None:
            # Jobs of a queue that this worker does not serve are another worker's to ask for.
            if queue in lanes:
                lanes[queue].wake_for_ledger()

        def queues_filled(jobs: Mapping[str, int]) -> None:
            for queue in jobs:
                if queue in lanes:
                    lanes[queue].wake_for_backlog()
                else:
                    _ = self.tasks.supervise(f"word of {queue}", partial(_tell, window, queue))
            keeper.request_sweep()

        window = self._window()
        lease = self._lease(wake_all)
        keeper = self._keeper(window, lanes)
        finisher = Finisher(
            self.ledger, lease, on_claimed=keeper.claimed, on_written=keeper.written
        )
        waiting = WaitingJobs(self.maintenance, queues_filled)
        gates = self._gates(waiting)
        runner = self._runner(gates, finisher)
        queues = [kind.queue for kind in self.catalogue]
        for queue, slots in self.settings.slots_for(queues).items():
            lanes[queue] = Lane(
                self._lane_settings(queue, slots),
                self.redis,
                window,
                self.ledger,
                lease,
                runner,
                finisher,
                queue_key=queue_key(queue),
            )
        orders = Orders(self.oversight, runner, lanes, keeper.set_limited_queues)
        from_postgres = PostgresWakeUps(database_url, list(lanes), ask_ledger, orders.hear)
        helpers: dict[str, Callable[[], Awaitable[None]]] = {
            "wake-ups from Redis": RedisWakeUps(self.redis, list(lanes), wake).run,
            "wake-ups from PostgreSQL": from_postgres.run,
            "orders": orders.run,
            "limits": keeper.run,
            "backlogs": BacklogNet(self.ledger, lanes).run,
            "reconciliation": Reconciliation(self.oversight, self.ledger, lease, finisher).run,
            "kinds known now": self._known_kinds(waiting),
            **{f"first contact with {name}": gate.first_contact for name, gate in gates.items()},
            **self._touches(),
            **self._kept_duties(self._duties(window, queues_filled, ask_ledger)),
            **self._kept_duties([SweepLimits(keeper.request_sweep)]),
        }
        suspects = self._suspects(lease, gates, runner, finisher)
        return QueueWorker(list(lanes.values()), suspects, lease, finisher, self.ledger, helpers)

    def _touches(self) -> dict[str, Callable[[], Awaitable[None]]]:
        foreign = self.settings.task_descriptor_sets.keys() & self.targets.keys()
        return {f"touch with {name}": self.targets[name].keep_in_touch for name in foreign}

    def _suspects(
        self,
        lease: WorkerLease,
        gates: Mapping[str, TargetGate],
        runner: CallRunner,
        finisher: Finisher,
    ) -> Suspects:
        settings = SuspectSettings(
            self.settings.suspect_quiet_seconds, drain_seconds=self.settings.drain_seconds
        )
        return Suspects(self.ledger, self.maintenance, lease, gates, runner, finisher, settings)

    def _lane_settings(self, queue: str, slots: int) -> LaneSettings:
        return LaneSettings(
            queue,
            slots,
            crowded=self.settings.window_cap // 2,
            drain_seconds=self.settings.drain_seconds,
            burst=self.burst,
        )

    def _keeper(self, window: RedisWindow, lanes: Mapping[str, Lane]) -> LimitKeeper:
        def freed(queue: str) -> None:
            if queue in lanes:
                lanes[queue].wake_for_backlog()

        admit = AdmitLimited(self.limits, window, cap=self.settings.window_cap)
        return LimitKeeper(admit, freed)

    def _lease(self, on_held: Callable[[], None]) -> WorkerLease:
        begun = Counter(
            "kongflow_workerqueue_leases",
            "Leases that this worker began; more than one when one has ended under it.",
            registry=self.registry,
        )

        def note_held() -> None:
            begun.inc()
            on_held()

        lease = WorkerLease(
            self.ledger, new_id, host=socket.gethostname(), pid=os.getpid(), on_held=note_held
        )
        gauge = Gauge(
            "kongflow_workerqueue_lease_held",
            "1 while this worker may claim jobs.",
            registry=self.registry,
        )
        gauge.set_function(lambda: float(lease.is_held))
        return lease

    def _known_kinds(self, waiting: WaitingJobs) -> Callable[[], Awaitable[None]]:
        return partial(waiting.release_known, [kind.kind for kind in self.catalogue])

    def _runner(self, gates: Mapping[str, TargetGate], finisher: Finisher) -> CallRunner:
        return CallRunner(
            self.catalogue,
            gates,
            finisher,
            OutcomeLog(self.registry),
            clock=SystemClock(),
            random=random.random,
            new_id=new_id,
        )

    def _kept_duties(self, duties: Sequence[Duty]) -> dict[str, Callable[[], Awaitable[None]]]:
        return {f"duty {duty.name}": partial(keep_doing, duty, self.maintenance) for duty in duties}

    def _window(self) -> RedisWindow:
        gauge = Gauge(
            "kongflow_workerqueue_fast_path_up",
            "1 while jobs travel through Redis, 0 while PostgreSQL is polled.",
            registry=self.registry,
        )
        return RedisWindow(self.redis, self.tasks, on_change=lambda up: gauge.set(int(up)))

    def _gates(self, waiting: WaitingJobs) -> dict[str, TargetGate]:
        parking = Parking(time.monotonic, random.random)
        times = CallTimes(self.registry)
        gates = {
            name: TargetGate(name, TimedTarget(target, times), waiting, self.tasks, parking)
            for name, target in self.targets.items()
        }
        gauge = Gauge(
            "kongflow_workerqueue_target_away_seconds",
            "How long a target could not be asked; 0 while it can.",
            ("target",),
            registry=self.registry,
        )
        for name, gate in gates.items():
            gauge.labels(name).set_function(gate.open_seconds)
        return gates

    def _duties(
        self,
        window: RedisWindow,
        queues_filled: QueuesFilled,
        ask_ledger: Callable[[str], None],
    ) -> Sequence[Duty]:
        return (
            MakeDue(self.maintenance, queues_filled),
            TakeBackOrphans(self.maintenance, queues_filled),
            ReadmitStale(self.maintenance, window, self.settings.window_cap, ask_ledger),
            PruneFinished(self.maintenance, _retention(self.settings)),
            WaitAlarm(self.oversight, self.registry),
            ReportDepths(self.maintenance, self.registry),
            TickPeriodicJobs(self.periodic, self._periodic_jobs(), new_id, queues_filled),
        )

    def _periodic_jobs(self) -> list[DeclaredPeriodicJob]:
        """Those of the targets that this worker was told of: others' would pile up uncalled."""
        known = self.settings.task_targets.keys() | self.settings.task_descriptor_sets.keys()
        mine = [kind for kind in self.catalogue if kind.target in known]
        return list(periodic_jobs(mine))


async def _tell(window: Window, queue: str) -> None:
    """Tells those who serve a queue that jobs wait outside its window."""
    # Without the window they poll.
    with contextlib.suppress(WindowUnavailable):
        await window.mark_backlog(queue, exists=True)


def _retention(settings: WorkerSettings) -> Retention:
    return Retention(
        completed=timedelta(hours=settings.completed_retention_hours),
        cancelled=timedelta(hours=settings.cancelled_retention_hours),
        discarded=timedelta(hours=settings.discarded_retention_hours),
    )


def _targets(
    settings: WorkerSettings, catalogue: KindCatalogue, stack: AsyncExitStack
) -> dict[str, GrpcTarget]:
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    targets: dict[str, GrpcTarget] = {}
    for name, address in settings.task_targets.items():
        foreign = name in settings.task_descriptor_sets
        channel = (foreign_channel if foreign else service_channel)(address, settings)
        stack.push_async_callback(channel.close)
        kinds = [kind for kind in catalogue if kind.target == name]
        targets[name] = GrpcTarget(channel, kinds, partial(signer.token, name))
    return targets
