"""What a task method says about the queued jobs that it was called for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from google.rpc import status_pb2

from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.timestamps import to_duration

__all__ = ["SNOOZE_METADATA", "Snooze", "TaskOutcome", "job_results", "parse_snooze", "say_snooze"]

SNOOZE_METADATA = "kongflow-snooze"

_MAX_SNOOZE_SECONDS = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class Snooze:
    """The job is not done yet: call again after `delay`. No attempt is spent."""

    delay: timedelta


TaskOutcome = Snooze | Exception | None
"""None: done."""


class _TrailingContext(Protocol):
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


def say_snooze(context: _TrailingContext, snooze: Snooze) -> None:
    """Let the answer of a single call say that the job is to be called again."""
    # A longer one could not be read: it is asked for again when it ends.
    seconds = min(max(snooze.delay.total_seconds(), 0.0), _MAX_SNOOZE_SECONDS)
    context.set_trailing_metadata(((SNOOZE_METADATA, f"{seconds:.6f}s"),))


def parse_snooze(metadata: Iterable[tuple[str, str | bytes]] | None) -> Snooze | None:
    """What the trailing metadata of an answer say: `kongflow-snooze: 30s`, or nothing.

    Raises ValueError for a delay that cannot be read.
    """
    for name, value in metadata or ():
        if name == SNOOZE_METADATA:
            text = value.decode() if isinstance(value, bytes) else value
            if not text.endswith("s"):
                raise ValueError(f"{SNOOZE_METADATA} is {text!r}; expected seconds such as 30s")
            seconds = float(text[:-1])
            if not 0 <= seconds <= _MAX_SNOOZE_SECONDS:
                raise ValueError(f"{SNOOZE_METADATA} is {text!r}, which is out of range")
            return Snooze(timedelta(seconds=seconds))
    return None


def job_results(
    outcomes: Sequence[TaskOutcome], catalog: ErrorCatalog
) -> list[envelope_pb2.JobResult]:
    """The results of a batch, in the order of its requests.

    An error becomes what a single call would have answered.
    """
    return [_job_result(outcome, catalog) for outcome in outcomes]


def _job_result(outcome: TaskOutcome, catalog: ErrorCatalog) -> envelope_pb2.JobResult:
    if outcome is None:
        return envelope_pb2.JobResult(status=status_pb2.Status())
    if isinstance(outcome, Snooze):
        return envelope_pb2.JobResult(
            status=status_pb2.Status(), snooze=to_duration(max(outcome.delay, timedelta(0)))
        )
    return envelope_pb2.JobResult(status=catalog.status_of(outcome))
