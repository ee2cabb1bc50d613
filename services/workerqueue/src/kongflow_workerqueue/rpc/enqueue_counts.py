"""Counts what became of commands, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from kongflow_common.errors import KongflowError
from kongflow_workerqueue.application.ports import InsertOutcome

__all__ = ["EnqueueCounts"]

_REFUSED = "refused"
_REPEATED = "repeated"


class EnqueueCounts:
    """What became of the services' commands."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "kongflow_workerqueue_commands",
            "Commands of the services' outboxes, by what became of them.",
            ("result",),
            registry=registry,
        )

    def note(self, outcomes: Sequence[InsertOutcome | KongflowError]) -> None:
        """Count the outcomes of one call."""
        for result, count in Tally(map(_result, outcomes)).items():
            self._counter.labels(result).inc(count)


def _result(outcome: InsertOutcome | KongflowError) -> str:
    if isinstance(outcome, KongflowError):
        return _REFUSED
    return _REPEATED if outcome.repeated else outcome.result.value
