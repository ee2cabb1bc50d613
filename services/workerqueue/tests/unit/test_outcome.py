from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongflow_workerqueue.domain.outcome import (
    COMPLETED,
    SHORTEST_SNOOZE,
    AlreadyDone,
    Answer,
    CallStatus,
    Done,
    Failed,
    Fault,
    RefusedForGood,
    Snoozed,
    StatusCode,
    TargetUnavailable,
    Transition,
    fault_of,
    read_answer,
    settle,
)
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import JobState, waiting_for_target

UNAVAILABLE = TargetUnavailable(waiting_for_target("events"), timedelta(seconds=2))
DELAYS = st.timedeltas(timedelta(days=-1), timedelta(days=200_000))
STATUSES = st.builds(CallStatus, st.sampled_from(StatusCode), st.text(max_size=20))
ANSWERS: st.SearchStrategy[Answer] = st.one_of(
    st.builds(Done),
    st.builds(AlreadyDone, STATUSES),
    st.builds(Snoozed, DELAYS),
    st.builds(TargetUnavailable, st.just("kind"), DELAYS),
    st.builds(RefusedForGood, STATUSES),
    st.builds(Failed, STATUSES, st.none() | DELAYS),
)


def settled(answer: Answer, *, attempt: int = 0, max_attempts: int = 3) -> Transition:
    return settle(
        answer,
        attempt=attempt,
        max_attempts=max_attempts,
        retry=ExponentialRetry(),
        random=lambda: 0.5,
    )


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (StatusCode.OK, Fault.NOBODY),
        (StatusCode.ALREADY_EXISTS, Fault.REPEAT),
        (StatusCode.UNAVAILABLE, Fault.TARGET),
        (StatusCode.UNIMPLEMENTED, Fault.TARGET),
        (StatusCode.UNAUTHENTICATED, Fault.TARGET),
        (StatusCode.INVALID_ARGUMENT, Fault.REQUEST),
        (StatusCode.FAILED_PRECONDITION, Fault.REQUEST),
        (StatusCode.OUT_OF_RANGE, Fault.REQUEST),
        (StatusCode.CANCELLED, Fault.ATTEMPT),
        (StatusCode.UNKNOWN, Fault.ATTEMPT),
        (StatusCode.DEADLINE_EXCEEDED, Fault.ATTEMPT),
        (StatusCode.NOT_FOUND, Fault.ATTEMPT),
        (StatusCode.PERMISSION_DENIED, Fault.ATTEMPT),
        (StatusCode.RESOURCE_EXHAUSTED, Fault.ATTEMPT),
        (StatusCode.ABORTED, Fault.ATTEMPT),
        (StatusCode.INTERNAL, Fault.ATTEMPT),
        (StatusCode.DATA_LOSS, Fault.ATTEMPT),
    ],
)
def test_whose_fault_each_code_is(code: StatusCode, fault: Fault) -> None:
    assert fault_of(code) is fault


def test_a_code_that_grpc_does_not_define_is_unknown() -> None:
    assert StatusCode.read(17) is StatusCode.UNKNOWN
    assert StatusCode.read(-1) is StatusCode.UNKNOWN
    assert StatusCode.read(16) is StatusCode.UNAUTHENTICATED


def test_ok_with_a_snooze_is_a_snooze_and_an_error_with_one_is_an_error() -> None:
    snooze = timedelta(seconds=30)
    ok = CallStatus(StatusCode.OK)
    bad = CallStatus(StatusCode.INTERNAL)
    assert read_answer(ok, if_unavailable=UNAVAILABLE, snooze=snooze) == Snoozed(snooze)
    assert read_answer(bad, if_unavailable=UNAVAILABLE, snooze=snooze) == Failed(bad)


def test_a_target_that_cannot_be_asked_costs_no_attempt() -> None:
    answer = read_answer(CallStatus(StatusCode.UNAVAILABLE), if_unavailable=UNAVAILABLE)
    assert settled(answer, attempt=2) == Transition(
        JobState.SCHEDULED,
        spends_attempt=False,
        delay=timedelta(seconds=2),
        waiting_for="target:events",
    )


def test_a_refusal_for_good_discards_at_the_first_attempt() -> None:
    status = CallStatus(StatusCode.INVALID_ARGUMENT, "no")
    answer = read_answer(status, if_unavailable=UNAVAILABLE)
    assert settled(answer, max_attempts=25) == Transition(
        JobState.DISCARDED, spends_attempt=True, error=status
    )


def test_what_exists_already_is_done_with_a_note() -> None:
    status = CallStatus(StatusCode.ALREADY_EXISTS, "there")
    assert settled(AlreadyDone(status)) == Transition(
        JobState.COMPLETED, spends_attempt=True, error=status
    )


def test_the_last_attempt_discards_and_the_one_before_retries() -> None:
    failed = Failed(CallStatus(StatusCode.INTERNAL, "no"))
    assert settled(failed, attempt=1, max_attempts=3).state is JobState.RETRYABLE
    assert settled(failed, attempt=2, max_attempts=3).state is JobState.DISCARDED


def test_the_target_may_say_when_to_try_again() -> None:
    status = CallStatus(StatusCode.RESOURCE_EXHAUSTED)
    assert settled(Failed(status, timedelta(hours=1))).delay == timedelta(hours=1)
    assert settled(Failed(status)).delay == timedelta(seconds=1)


def test_a_snooze_of_no_time_does_not_spin() -> None:
    assert settled(Snoozed(timedelta())).delay == SHORTEST_SNOOZE


@given(answer=ANSWERS, attempt=st.integers(0, 30), max_attempts=st.integers(1, 25))
def test_settling_is_total_and_sound(answer: Answer, attempt: int, max_attempts: int) -> None:
    transition = settled(answer, attempt=attempt, max_attempts=max_attempts)
    assert transition.state is not JobState.RUNNING
    assert timedelta() <= transition.delay <= timedelta(days=36_500)
    if transition.state.is_final:
        assert transition.delay == timedelta()
        assert transition.waiting_for is None
    if isinstance(answer, TargetUnavailable | Snoozed):
        assert not transition.spends_attempt
        assert transition.error is None
        assert not transition.state.is_final
    if transition.error is not None:
        assert transition.spends_attempt


def test_an_unremarkable_completion_is_the_one_that_is_written_fast() -> None:
    assert settled(Done()) == COMPLETED
