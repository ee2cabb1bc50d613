"""Tells how many jobs the queues hold, and raises the alarm when the first of them is late."""

import logging
from datetime import timedelta

from prometheus_client import CollectorRegistry, Gauge

from kongflow_workerqueue.application.ports import MaintenanceLedger

__all__ = ["ReportDepths"]


logger = logging.getLogger(__name__)

_LATE = timedelta(minutes=5)


class ReportDepths:
    """One worker counts for all, and for queues that none of them serves."""

    name = "report_depths"
    every = timedelta(seconds=15)

    def __init__(self, ledger: MaintenanceLedger, registry: CollectorRegistry) -> None:
        self._ledger = ledger
        self._jobs = Gauge(
            "kongflow_workerqueue_jobs",
            "Unfinished queued jobs.",
            ("queue", "state"),
            registry=registry,
        )
        self._oldest = Gauge(
            "kongflow_workerqueue_oldest_wait_seconds",
            "How long the available job that is due longest has waited.",
            ("queue",),
            registry=registry,
        )
        self._counted_at = Gauge(
            "kongflow_workerqueue_jobs_counted_at_seconds",
            "When this worker last counted the queues, as a Unix time; 0 when it never did.",
            registry=registry,
        )

    async def do(self) -> None:
        """Counts."""
        depths = await self._ledger.queue_depths()
        self._counted_at.set_to_current_time()
        self._jobs.clear()
        self._oldest.clear()
        for queue, depth in depths.items():
            self._jobs.labels(queue, "available").set(depth.available)
            self._jobs.labels(queue, "running").set(depth.running)
            self._jobs.labels(queue, "waiting").set(depth.waiting)
            self._oldest.labels(queue).set(depth.oldest_wait.total_seconds())
            if depth.oldest_wait >= _LATE:
                logger.error(
                    "a queue is late: its workers are too few, or there are none",
                    extra={
                        "fields": {
                            "queue": queue,
                            "available": depth.available,
                            "oldest_seconds": round(depth.oldest_wait.total_seconds()),
                        }
                    },
                )
