"""What may happen to a queued job, and what becomes of it: pure, and total over state and event.

The ledger's statements carry the same rules out in SQL; tests hold the two against each other.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import assert_never

from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.domain.states import JobState


@unique
class JobEvent(StrEnum):
    """What happens to a job beside the answer to its call."""

    BECOME_DUE = "become_due"
    """Its run time has come, or the target it waited for has."""
    CLAIM = "claim"
    """A worker takes it."""
    HAND_BACK = "hand_back"
    """The worker gives it back unfinished."""
    LAPSE = "lapse"
    """The worker's lease ended while it ran."""
    REMOVE = "remove"
    """Its enqueuer takes it back."""
    RETRY = "retry"
    """An operator wants it to run now."""
    EDIT = "edit"
    """An operator wants it to run now with other arguments."""
    REDRIVE = "redrive"
    """An operator wants it to run again among others."""
    CANCEL = "cancel"
    """An operator takes it back, from under the worker if need be."""


class IllegalTransition(Exception):
    """A job in this state cannot take this event."""

    def __init__(self, state: JobState, event: str) -> None:
        super().__init__(f"a job that is {state} cannot take {event}")
        self.state = state
        self.event = event


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Where a job stands. `attempt` counts attempts spent, `lapses` leases ended under it."""

    state: JobState
    max_attempts: int
    turn: int = 1
    attempt: int = 0
    lapses: int = 0

    def after(self, event: JobEvent) -> "Lifecycle":
        """Return where the job stands after the event; raise IllegalTransition."""
        match event:
            case JobEvent.BECOME_DUE if self.state.waits_for_time:
                return self._available()
            case JobEvent.CLAIM if self.state is JobState.AVAILABLE:
                return replace(self, state=JobState.RUNNING)
            case JobEvent.HAND_BACK if self.state is JobState.RUNNING:
                return self._available()
            case JobEvent.LAPSE if self.state is JobState.RUNNING:
                return replace(self._available(), lapses=self.lapses + 1)
            case JobEvent.REMOVE | JobEvent.CANCEL if self._may_be_taken_back(event):
                # The turn stays: what a call still answers meets a job that does not run.
                return replace(self, state=JobState.CANCELLED)
            case JobEvent.RETRY if self.state is JobState.AVAILABLE:
                return self
            case JobEvent.RETRY if self.state.waits_for_time:
                return self._available()
            case JobEvent.RETRY | JobEvent.EDIT | JobEvent.REDRIVE if self._may_begin_anew(event):
                return replace(self._available(), attempt=0)
            case (
                JobEvent.BECOME_DUE
                | JobEvent.CLAIM
                | JobEvent.HAND_BACK
                | JobEvent.LAPSE
                | JobEvent.REMOVE
                | JobEvent.RETRY
                | JobEvent.EDIT
                | JobEvent.REDRIVE
                | JobEvent.CANCEL
            ):
                raise IllegalTransition(self.state, event)
            case never:
                assert_never(never)

    def _may_be_taken_back(self, event: JobEvent) -> bool:
        """Whether it has not ended: only an operator takes back what runs."""
        may_run = event is JobEvent.CANCEL
        return not self.state.is_final and (may_run or self.state is not JobState.RUNNING)

    def _may_begin_anew(self, event: JobEvent) -> bool:
        """Whether it has ended: what is done to dead letters only is more than a retry."""
        if event is JobEvent.RETRY:
            return self.state.is_final
        return self.state is JobState.DISCARDED

    def finish(self, transition: Transition) -> "Lifecycle":
        """Return where the job stands after an answer; raise IllegalTransition."""
        if self.state is not JobState.RUNNING:
            raise IllegalTransition(self.state, "finish")
        spent = self.attempt + 1 if transition.spends_attempt else self.attempt
        return replace(self, state=transition.state, attempt=min(spent, self.max_attempts))

    def replace(self, *, due: bool, max_attempts: int) -> "Lifecycle":
        """Return where the job stands when its holder of a key is replaced.

        Raises IllegalTransition for a job that runs, which loses its key instead, or has ended.
        """
        if self.state is JobState.RUNNING or self.state.is_final:
            raise IllegalTransition(self.state, "replace")
        anew = replace(self, attempt=0, max_attempts=max_attempts)
        if not due:
            return replace(anew, state=JobState.SCHEDULED)
        return anew if self.state is JobState.AVAILABLE else anew._available()

    @property
    def may_be_deleted(self) -> bool:
        """Whether an operator may delete it: what has not ended is cancelled first."""
        return self.state.is_final

    def _available(self) -> "Lifecycle":
        return replace(self, state=JobState.AVAILABLE, turn=self.turn + 1)


def debounced(wanted: datetime, *, created: datetime, longest_wait: timedelta | None) -> datetime:
    """Return the run time of a job whose key is enqueued once more, to run at `wanted`.

    `created` is when the first of these commands stored it.
    """
    return wanted if longest_wait is None else min(wanted, created + longest_wait)
