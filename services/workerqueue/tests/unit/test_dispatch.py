"""Where stored jobs go: into the window, or to workers who poll."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.ports import (
    Admitted,
    InsertOutcome,
    InsertResult,
    NewJob,
    PopResult,
    PushResult,
    Removal,
    WindowState,
    WindowUnavailable,
)
from kongflow_workerqueue.domain.states import Priority

CAP = 10


class FewEntriesWindow:
    """Holds numbers of entries only."""

    def __init__(self) -> None:
        self.lengths: dict[str, int] = {}
        self.backlogs: set[str] = set()
        self.away = False
        self.full = False
        self.asked = 0

    async def push(self, queue: str, entries: Sequence[Admitted], *, cap: int) -> PushResult:
        self._ask()
        if self.full:
            raise WindowUnavailable
        length = self.lengths.get(queue, 0)
        accepted = min(len(entries), cap - length)
        self.lengths[queue] = length + accepted
        return PushResult(accepted, WindowState(length + accepted, backlog=queue in self.backlogs))

    async def pop(self, queue: str, limit: int) -> PopResult:
        raise NotImplementedError

    async def look(self, queue: str) -> WindowState:
        self.asked += 1
        self._ask()
        return WindowState(self.lengths.get(queue, 0), backlog=queue in self.backlogs)

    async def mark_backlog(self, queue: str, *, exists: bool) -> None:
        raise NotImplementedError

    def _ask(self) -> None:
        if self.away:
            raise WindowUnavailable


class RecordingLedger:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.withdrawn: list[tuple[UUID, int]] = []
        self.woken: list[set[str]] = []
        self.away = False

    async def insert(
        self, commands: Sequence[NewJob | Removal], *, admit_to: Collection[str] = ()
    ) -> list[InsertOutcome]:
        raise NotImplementedError

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        self._ask()
        self.withdrawn += entries

    async def wake(self, queues: Collection[str]) -> None:
        self._ask()
        self.woken.append(set(queues))

    def _ask(self) -> None:
        if self.away:
            raise DependencyUnavailable("postgresql")


class Clock:
    """Shows the time that it is set to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def window() -> FewEntriesWindow:
    return FewEntriesWindow()


@pytest.fixture
def ledger() -> RecordingLedger:
    return RecordingLedger()


@pytest.fixture
def dispatch(window: FewEntriesWindow, ledger: RecordingLedger) -> Dispatch:
    return Dispatch(window, ledger, cap=CAP)


def stored(
    count: int, queue: str = "events", *, admitted: bool = True
) -> list[tuple[str, InsertOutcome]]:
    outcomes = []
    for _ in range(count):
        id_ = new_id()
        entry = Admitted(id_, 1, Priority.HIGH, datetime.now(UTC)) if admitted else None
        outcomes.append(
            (queue, InsertOutcome(InsertResult.INSERTED, id_, available=True, admitted=entry))
        )
    return outcomes


async def test_an_empty_window_has_room_without_being_asked(
    dispatch: Dispatch, window: FewEntriesWindow
) -> None:
    assert await dispatch.queues_with_room(["events", "execution"]) == {"events", "execution"}
    assert window.asked == 0


async def test_nothing_new_passes_by_a_backlog(
    dispatch: Dispatch, window: FewEntriesWindow
) -> None:
    window.backlogs = {"events"}
    # The first push hears of it.
    await dispatch.hand_over(stored(1))
    assert await dispatch.queues_with_room(["events", "execution"]) == {"execution"}
    window.backlogs = set()
    assert await dispatch.queues_with_room(["events"]) == {"events"}


async def test_a_window_that_is_half_full_is_left_to_empty(
    dispatch: Dispatch, window: FewEntriesWindow
) -> None:
    await dispatch.hand_over(stored(CAP // 2))
    assert await dispatch.queues_with_room(["events"]) == frozenset()
    window.lengths["events"] = CAP // 2 - 1
    assert await dispatch.queues_with_room(["events"]) == {"events"}


async def test_what_finds_no_room_is_taken_back(
    dispatch: Dispatch, window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    jobs = stored(CAP + 3)
    await dispatch.hand_over(jobs)
    assert window.lengths["events"] == CAP
    assert ledger.withdrawn == [(outcome.job_id, 1) for _, outcome in jobs[CAP:]]
    assert ledger.woken == []


async def test_without_the_window_workers_are_woken_through_the_ledger(
    dispatch: Dispatch, window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    window.away = True
    await dispatch.hand_over([*stored(2), *stored(1, "execution")])
    assert ledger.woken == [{"events", "execution"}]
    window.lengths["events"] = CAP
    dispatch = Dispatch(window, ledger, cap=CAP)
    await dispatch.hand_over(stored(1, admitted=False))
    assert ledger.woken[1:] == [{"events"}]


async def test_behind_a_full_window_nobody_is_woken(
    dispatch: Dispatch, ledger: RecordingLedger
) -> None:
    await dispatch.hand_over(stored(3, admitted=False))
    assert ledger.woken == []


async def test_a_window_that_has_just_answered_is_not_asked_again(
    dispatch: Dispatch, window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    await dispatch.hand_over(stored(CAP // 2))
    for _ in range(2):
        window.asked = 0
        assert await dispatch.queues_with_room(["events"]) == frozenset()
        await dispatch.hand_over(stored(1, admitted=False))
        assert window.asked == 1
    assert ledger.woken == []


async def test_a_window_that_goes_away_behind_its_length_is_missed_at_the_next_jobs(
    dispatch: Dispatch, window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    await dispatch.hand_over(stored(CAP // 2))
    assert await dispatch.queues_with_room(["events"]) == frozenset()
    window.away = True
    await dispatch.hand_over(stored(1, admitted=False))
    assert await dispatch.queues_with_room(["events"]) == frozenset()
    await dispatch.hand_over(stored(1, admitted=False))
    assert ledger.woken == [{"events"}]


async def test_what_is_stored_is_stored_whatever_fails_after(
    dispatch: Dispatch, window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    ledger.away = True
    await dispatch.hand_over(stored(CAP + 1))
    window.away = True
    await dispatch.hand_over(stored(1))


async def test_what_is_not_available_goes_nowhere(
    dispatch: Dispatch, window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    window.away = True
    kept = InsertOutcome(InsertResult.SKIPPED_AS_DUPLICATE, new_id())
    await dispatch.hand_over([("events", kept)])
    assert (window.asked, ledger.woken) == (0, [])


async def test_a_window_that_is_away_gets_nothing_admitted_until_it_is_back(
    window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    clock = Clock()
    dispatch = Dispatch(window, ledger, cap=CAP, now=clock)
    window.away = True
    assert await dispatch.queues_with_room(["events"]) == {"events"}
    await dispatch.hand_over(stored(1))
    for clock.time in (0.1, 0.6, 1.2):
        assert await dispatch.queues_with_room(["events"]) == frozenset()
        await dispatch.hand_over(stored(1, admitted=False))
    # Whoever polls the ledger is told of each.
    assert ledger.woken == [{"events"}] * 4
    window.away = False
    clock.time = 2.0
    assert await dispatch.queues_with_room(["events"]) == {"events"}


async def test_a_window_that_takes_nothing_is_tried_now_and_then(
    window: FewEntriesWindow, ledger: RecordingLedger
) -> None:
    clock = Clock()
    dispatch = Dispatch(window, ledger, cap=CAP, now=clock)
    window.full = True
    tried = []
    for clock.time in (0.0, 0.1, 0.4, 0.5, 0.6):
        has_room = bool(await dispatch.queues_with_room(["events"]))
        tried.append(has_room)
        await dispatch.hand_over(stored(1, admitted=has_room))
    assert tried == [True, False, False, True, False]
    assert ledger.woken == [{"events"}] * 5
