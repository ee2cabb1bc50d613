"""Says what became of each job: one log line with the job's trace, and counts."""

import logging
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from kongflow_common.logging import log_each
from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.domain.states import JobState

__all__ = ["OutcomeLog"]

logger = logging.getLogger("kongflow_workerqueue.outcome")

_TRACE_ID: Final = slice(3, 35)
"""Where a traceparent has its trace id."""

_SNOOZED = "snoozed"
_WAITING = "waiting"
_LEVELS = {
    JobState.COMPLETED.value: logging.INFO,
    _SNOOZED: logging.INFO,
    _WAITING: logging.DEBUG,
    JobState.CANCELLED.value: logging.INFO,
    JobState.RETRYABLE.value: logging.WARNING,
    JobState.DISCARDED.value: logging.ERROR,
}
_MESSAGES = {name: f"queued job {name}" for name in _LEVELS}


class OutcomeLog:
    """Writes outcomes to the log and counts them by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "kongflow_workerqueue_outcomes",
            "What became of the calls of queued jobs.",
            ("kind", "outcome"),
            registry=registry,
        )
        self._children: dict[tuple[str, str], Counter] = {}

    def write_completed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Notes jobs of one kind that are done."""
        outcome = JobState.COMPLETED.value
        self._count(jobs[0].kind, outcome, len(jobs))
        log_each(logger, _MESSAGES[outcome], ((_trace_id(job), _fields(job)) for job in jobs))

    def write(self, job: ClaimedJob, transition: Transition) -> None:
        """Notes one outcome."""
        outcome = _name(transition)
        self._count(job.kind, outcome, 1)
        level = _LEVELS[outcome]
        if logger.isEnabledFor(level):
            fields = _fields(job)
            if transition.error is not None:
                fields["code"] = transition.error.code.name
                fields["error"] = transition.error.message
            if transition.waiting_for is not None:
                fields["waiting_for"] = transition.waiting_for
            logger.log(
                level, _MESSAGES[outcome], extra={"fields": fields, "trace_id": _trace_id(job)}
            )

    def _count(self, kind: str, outcome: str, jobs: int) -> None:
        child = self._children.get((kind, outcome))
        if child is None:
            child = self._children[kind, outcome] = self._counter.labels(kind, outcome)
        child.inc(jobs)


def _fields(job: ClaimedJob) -> dict[str, object]:
    return {"queued_job_id": job.id, "kind": job.kind, "attempt": job.attempt + 1}


def _trace_id(job: ClaimedJob) -> str:
    return job.traceparent[_TRACE_ID] if job.traceparent else ""


def _name(transition: Transition) -> str:
    if transition.state is JobState.SCHEDULED:
        return _SNOOZED if transition.waiting_for is None else _WAITING
    return transition.state.value
