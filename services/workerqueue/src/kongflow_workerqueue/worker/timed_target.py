"""A target whose calls are timed: how late their jobs are, and how long they take."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from time import perf_counter

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.application.targets import CallResult, TaskTarget, WorkKind

__all__ = ["CallTimes", "TimedTarget"]

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAIT_BOUNDS = (*_BOUNDS, 60.0, 300.0, 1_800.0)


class _Times:
    """Counts in a plain list: a Histogram of prometheus_client takes a lock with each job."""

    __slots__ = ("bounds", "in_bucket", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.in_bucket = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        self.in_bucket[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        total = 0
        labels = [*(repr(bound) for bound in self.bounds), "+Inf"]
        cumulated = []
        for label, count in zip(labels, list(self.in_bucket), strict=True):
            total += count
            cumulated.append((label, float(total)))
        return cumulated


class CallTimes(Collector):
    """The times of all targets, by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waits: dict[str, _Times] = {}
        self._calls: dict[str, _Times] = {}
        registry.register(self)

    def note_begin(self, kind: str, jobs: Sequence[ClaimedJob]) -> None:
        """Note how long jobs of a kind that are called now have been due."""
        waits = self._waits.get(kind)
        if waits is None:
            waits = self._waits[kind] = _Times(_WAIT_BOUNDS)
        for job in jobs:
            waits.note(max(job.waited.total_seconds(), 0.0))

    def note_call(self, kind: str, seconds: float) -> None:
        """Note how long a call took, well or not."""
        calls = self._calls.get(kind)
        if calls is None:
            calls = self._calls[kind] = _Times(_BOUNDS)
        calls.note(seconds)

    def collect(self) -> Iterable[Metric]:
        """The figures as they stand; asked for from another thread."""
        waits = HistogramMetricFamily(
            "kongflow_workerqueue_start_delay_seconds",
            "How long jobs had been due when a worker took them.",
            labels=("kind",),
        )
        calls = HistogramMetricFamily(
            "kongflow_workerqueue_call_seconds",
            "How long calls took; one call may carry many jobs.",
            labels=("kind",),
        )
        for family, times in ((waits, self._waits), (calls, self._calls)):
            for kind, figures in list(times.items()):
                family.add_metric((kind,), figures.buckets(), figures.seconds)
        return (waits, calls)


class TimedTarget:
    """A TaskTarget that another one stands behind."""

    def __init__(self, target: TaskTarget, times: CallTimes) -> None:
        self._target = target
        self._times = times

    async def call(
        self, kind: WorkKind, jobs: Sequence[ClaimedJob], *, deadline: datetime
    ) -> list[CallResult]:
        """Makes one call; see TaskTarget.call."""
        self._times.note_begin(kind.kind, jobs)
        began = perf_counter()
        try:
            return await self._target.call(kind, jobs, deadline=deadline)
        finally:
            self._times.note_call(kind.kind, perf_counter() - began)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment; see TaskTarget.is_connected."""
        return self._target.is_connected

    async def is_ready(self) -> bool:
        """Asks whether the target would take calls; see TaskTarget.is_ready."""
        return await self._target.is_ready()
