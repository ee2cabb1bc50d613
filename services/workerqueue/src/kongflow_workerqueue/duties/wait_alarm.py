"""Raises the alarm about jobs that have waited long for a target or for their kind."""

import logging
from datetime import timedelta

from prometheus_client import CollectorRegistry, Gauge

from kongflow_workerqueue.application.oversight import Oversight

__all__ = ["WaitAlarm"]

logger = logging.getLogger(__name__)

_ALARM_AGE = timedelta(minutes=5)


class WaitAlarm:
    """Nothing is lost while jobs wait, and nothing happens either: somebody should know."""

    name = "wait_alarm"
    every = timedelta(seconds=30)

    def __init__(
        self,
        oversight: Oversight,
        registry: CollectorRegistry,
        *,
        alarm_age: timedelta = _ALARM_AGE,
    ) -> None:
        self._oversight = oversight
        self._alarm_age = alarm_age
        self._jobs = Gauge(
            "kongflow_workerqueue_waiting_jobs",
            "Jobs that wait for a target or for their kind to be declared.",
            ("waiting_for", "kind"),
            registry=registry,
        )
        self._counted_at = Gauge(
            "kongflow_workerqueue_waiting_jobs_counted_at_seconds",
            "When this worker last counted them, as a Unix time; 0 when it never did.",
            registry=registry,
        )

    async def do(self) -> None:
        """Counts what waits, and says loudly what has waited for long."""
        found = await self._oversight.waiting()
        self._counted_at.set_to_current_time()
        self._jobs.clear()
        for waiting in found:
            self._jobs.labels(waiting.waiting_for, waiting.kind).set(waiting.jobs)
            if waiting.oldest >= self._alarm_age:
                logger.error(
                    "jobs have waited long",
                    extra={
                        "fields": {
                            "waiting_for": waiting.waiting_for,
                            "kind": waiting.kind,
                            "jobs": waiting.jobs,
                            "oldest_seconds": round(waiting.oldest.total_seconds()),
                        }
                    },
                )
