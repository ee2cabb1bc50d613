"""What the answer to a call means for its queued job: whose fault a failure is decides."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum, unique
from typing import assert_never

from kongflow_workerqueue.domain.retry import LONGEST_DELAY, RetryPolicy
from kongflow_workerqueue.domain.states import JobState

SHORTEST_SNOOZE = timedelta(milliseconds=100)
ZERO = timedelta()


@unique
class StatusCode(IntEnum):
    """The codes of gRPC, by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @classmethod
    def read(cls, number: int) -> "StatusCode":
        """Read a code off the wire; a number that gRPC does not define means UNKNOWN."""
        return cls(number) if 0 <= number <= max(cls) else cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class CallStatus:
    """What a target answered.

    `details` is the whole answer as a serialised google.rpc.Status, empty when it has none
    beyond code and message.
    """

    code: StatusCode
    message: str = ""
    details: bytes = b""


@unique
class Fault(StrEnum):
    """Whose fault an answer is."""

    NOBODY = "nobody"
    TARGET = "target"
    REQUEST = "request"
    REPEAT = "repeat"
    ATTEMPT = "attempt"


_FAULTS = {
    StatusCode.OK: Fault.NOBODY,
    StatusCode.ALREADY_EXISTS: Fault.REPEAT,
    StatusCode.UNAVAILABLE: Fault.TARGET,
    StatusCode.UNIMPLEMENTED: Fault.TARGET,
    StatusCode.UNAUTHENTICATED: Fault.TARGET,
    StatusCode.INVALID_ARGUMENT: Fault.REQUEST,
    StatusCode.FAILED_PRECONDITION: Fault.REQUEST,
    StatusCode.OUT_OF_RANGE: Fault.REQUEST,
}


def fault_of(code: StatusCode) -> Fault:
    """Tell whose fault an answer with this code is."""
    return _FAULTS.get(code, Fault.ATTEMPT)


@dataclass(frozen=True, slots=True)
class Done:
    """The handler did it."""


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """The handler had done it before; its answer is kept as a note."""

    status: CallStatus


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler wants to be called again after `delay`."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class TargetUnavailable:
    """The target could not be asked; `delay` is the back-off of its circuit.

    `waiting_for` is WAITING_FOR_KIND or waiting_for_target(name).
    """

    waiting_for: str
    delay: timedelta


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    """The handler will say no however often it is asked."""

    status: CallStatus


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt failed; `retry_after` is the target's own wish (google.rpc.RetryInfo)."""

    status: CallStatus
    retry_after: timedelta | None = None


Answer = Done | AlreadyDone | Snoozed | TargetUnavailable | RefusedForGood | Failed


def read_answer(
    status: CallStatus,
    *,
    if_unavailable: TargetUnavailable,
    snooze: timedelta | None = None,
    retry_after: timedelta | None = None,
) -> Answer:
    """Read a gRPC status; `snooze` counts only with OK.

    `if_unavailable` is the answer to give when the target could not be asked.
    """
    match fault_of(status.code):
        case Fault.NOBODY:
            return Done() if snooze is None else Snoozed(snooze)
        case Fault.REPEAT:
            return AlreadyDone(status)
        case Fault.TARGET:
            return if_unavailable
        case Fault.REQUEST:
            return RefusedForGood(status)
        case Fault.ATTEMPT:
            return Failed(status, retry_after)
        case never:
            assert_never(never)


@dataclass(frozen=True, slots=True)
class Transition:
    """How a running job goes on.

    `state` is never RUNNING. `delay` counts from the moment at which the ledger writes it and
    is zero for final states. `error` is added to the job's errors.
    """

    state: JobState
    spends_attempt: bool
    delay: timedelta = ZERO
    error: CallStatus | None = None
    waiting_for: str | None = None


COMPLETED = Transition(JobState.COMPLETED, spends_attempt=True)
CANCELLED = Transition(JobState.CANCELLED, spends_attempt=False)


def settle(
    answer: Answer,
    *,
    attempt: int,
    max_attempts: int,
    retry: RetryPolicy,
    random: Callable[[], float],
) -> Transition:
    """Decide how a job goes on after an answer.

    `attempt` is the number of attempts spent before this call; `random` gives numbers in
    [0, 1).
    """
    match answer:
        case Done():
            return COMPLETED
        case AlreadyDone(status):
            return Transition(JobState.COMPLETED, spends_attempt=True, error=status)
        case Snoozed(delay):
            return Transition(
                JobState.SCHEDULED,
                spends_attempt=False,
                delay=min(max(delay, SHORTEST_SNOOZE), LONGEST_DELAY),
            )
        case TargetUnavailable(waiting_for, delay):
            return Transition(
                JobState.SCHEDULED,
                spends_attempt=False,
                delay=min(max(delay, ZERO), LONGEST_DELAY),
                waiting_for=waiting_for,
            )
        case RefusedForGood(status):
            return Transition(JobState.DISCARDED, spends_attempt=True, error=status)
        case Failed(status, retry_after):
            failures = attempt + 1
            if failures >= max_attempts:
                return Transition(JobState.DISCARDED, spends_attempt=True, error=status)
            wanted = retry.delay(failures, random) if retry_after is None else retry_after
            return Transition(
                JobState.RETRYABLE,
                spends_attempt=True,
                delay=min(max(wanted, ZERO), LONGEST_DELAY),
                error=status,
            )
        case never:
            assert_never(never)
