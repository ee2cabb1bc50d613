"""A job's life, walked at random: whatever happens in whatever order, these hold."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kongflow_workerqueue.domain.lifecycle import (
    IllegalTransition,
    JobEvent,
    Lifecycle,
    debounced,
)
from kongflow_workerqueue.domain.outcome import (
    CallStatus,
    Done,
    Failed,
    RefusedForGood,
    Snoozed,
    StatusCode,
    TargetUnavailable,
    settle,
)
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import JobState

INTERNAL = CallStatus(StatusCode.INTERNAL, "no")
ANSWERS = st.sampled_from(
    [
        Done(),
        Failed(INTERNAL),
        RefusedForGood(INTERNAL),
        Snoozed(timedelta(seconds=1)),
        TargetUnavailable("kind", timedelta(seconds=1)),
    ]
)

LEGAL = {
    JobState.AVAILABLE: {JobEvent.CLAIM, JobEvent.REMOVE, JobEvent.RETRY, JobEvent.CANCEL},
    JobState.SCHEDULED: {JobEvent.BECOME_DUE, JobEvent.REMOVE, JobEvent.RETRY, JobEvent.CANCEL},
    JobState.RETRYABLE: {JobEvent.BECOME_DUE, JobEvent.REMOVE, JobEvent.RETRY, JobEvent.CANCEL},
    JobState.RUNNING: {JobEvent.HAND_BACK, JobEvent.LAPSE, JobEvent.CANCEL},
    JobState.COMPLETED: {JobEvent.RETRY},
    JobState.CANCELLED: {JobEvent.RETRY},
    JobState.DISCARDED: {JobEvent.RETRY, JobEvent.EDIT, JobEvent.REDRIVE},
}


@pytest.mark.parametrize(("state", "event"), list(product(JobState, JobEvent)))
def test_which_events_each_state_takes(state: JobState, event: JobEvent) -> None:
    job = Lifecycle(state, max_attempts=3)
    if event in LEGAL[state]:
        job.after(event)
    else:
        with pytest.raises(IllegalTransition):
            job.after(event)


@pytest.mark.parametrize("state", JobState)
def test_only_a_waiting_job_is_replaced(state: JobState) -> None:
    job = Lifecycle(state, max_attempts=3, attempt=2)
    if state in {JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE}:
        assert job.replace(due=True, max_attempts=5).attempt == 0
    else:
        with pytest.raises(IllegalTransition):
            job.replace(due=True, max_attempts=5)


@pytest.mark.parametrize("state", JobState)
def test_only_what_has_ended_is_deleted(state: JobState) -> None:
    ended = {JobState.COMPLETED, JobState.CANCELLED, JobState.DISCARDED}
    assert Lifecycle(state, max_attempts=3).may_be_deleted == (state in ended)


@given(
    steps=st.lists(st.timedeltas(timedelta(), timedelta(minutes=5)), min_size=1),
    delay=st.timedeltas(timedelta(), timedelta(minutes=30)),
    longest=st.timedeltas(timedelta(milliseconds=1), timedelta(minutes=30)),
)
def test_a_debounced_job_moves_back_only_and_waits_so_long_at_most(
    steps: list[timedelta], delay: timedelta, longest: timedelta
) -> None:
    now = created = datetime(2026, 1, 1, tzinfo=UTC)
    run_at = debounced(now + delay, created=created, longest_wait=longest)
    for step in steps:
        now += step
        pushed = debounced(now + delay, created=created, longest_wait=longest)
        assert run_at <= pushed <= created + longest
        run_at = pushed
    unbounded = debounced(now + delay, created=created, longest_wait=None)
    assert run_at == min(unbounded, created + longest)


class JobsLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.job = Lifecycle(JobState.AVAILABLE, max_attempts=3)
        self.highest_turn = 0
        self.claimed_turns: list[int] = []

    @rule(event=st.sampled_from(JobEvent))
    def something_happens(self, event: JobEvent) -> None:
        before = self.job
        try:
            self.job = before.after(event)
        except IllegalTransition:
            assert event not in LEGAL[before.state]
            return
        if self.job.state is JobState.AVAILABLE and before.state is not JobState.AVAILABLE:
            assert self.job.turn == before.turn + 1
        else:
            assert self.job.turn == before.turn
        if event is JobEvent.CLAIM:
            self.claimed_turns.append(self.job.turn)
        if event in {JobEvent.HAND_BACK, JobEvent.LAPSE, JobEvent.CANCEL}:
            # Neither an outage nor an operator costs an attempt.
            assert self.job.attempt == before.attempt

    @precondition(lambda self: self.job.state is JobState.RUNNING)
    @rule(answer=ANSWERS)
    def the_call_is_answered(self, answer: Done | Failed | RefusedForGood | Snoozed) -> None:
        before = self.job
        transition = settle(
            answer,
            attempt=before.attempt,
            max_attempts=before.max_attempts,
            retry=ExponentialRetry(),
            random=lambda: 0.0,
        )
        self.job = before.finish(transition)
        assert self.job.turn == before.turn
        assert self.job.state is not JobState.RUNNING

    @precondition(lambda self: not self.job.state.is_final and self.job.state != "running")
    @rule(due=st.booleans(), max_attempts=st.integers(1, 5))
    def its_key_is_enqueued_again(self, due: bool, max_attempts: int) -> None:
        self.job = self.job.replace(due=due, max_attempts=max_attempts)
        assert self.job.state is (JobState.AVAILABLE if due else JobState.SCHEDULED)

    @invariant()
    def turns_never_go_back(self) -> None:
        assert self.job.turn >= self.highest_turn
        self.highest_turn = self.job.turn

    @invariant()
    def a_turn_runs_at_most_once(self) -> None:
        assert len(self.claimed_turns) == len(set(self.claimed_turns))

    @invariant()
    def attempts_are_bounded(self) -> None:
        assert 0 <= self.job.attempt <= self.job.max_attempts

    @invariant()
    def a_job_that_may_run_has_an_attempt_left(self) -> None:
        if not self.job.state.is_final:
            assert self.job.attempt < self.job.max_attempts


TestJobsLife = JobsLife.TestCase
TestJobsLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
