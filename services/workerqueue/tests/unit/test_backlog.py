"""When a lane looks into the ledger for what waits outside the window, and what it says of it."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import ClaimedJob, PopResult, WindowUnavailable
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.worker.backlog import Backlog

CROWDED = 5
NOTHING = PopResult((), 0)


def job() -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        turn=1,
        kind="k",
        args=b"{}",
        queue="events",
        priority=Priority.NORMAL,
        attempt=0,
        max_attempts=3,
        lapses=0,
        environment_id=None,
        traceparent=None,
        suspicion=0,
        limits=None,
        waited=timedelta(),
    )


class Outside:
    """Has jobs waiting, of which each look finds so many at most, and a window that hears of it."""

    def __init__(self, waiting: int = 0, *, a_look: int = 1_000) -> None:
        self.waiting = waiting
        self.a_look = a_look
        self.looks: list[int] = []
        self.marks: list[bool] = []
        self.is_away = False
        self.is_down = False
        self.woken = 0
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while it is asked, unseen by the answer."""
        self.backlog = Backlog(self.claim, self.mark, crowded=CROWDED, wake=self.wake)

    async def claim(self, room: int) -> Sequence[ClaimedJob]:
        if self.is_down:
            raise DependencyUnavailable("postgresql")
        self.looks.append(room)
        found = min(room, self.waiting, self.a_look)
        self.waiting -= found
        self.meanwhile()
        return [job() for _ in range(found)]

    async def mark(self, exists: bool) -> None:
        if self.is_away:
            raise WindowUnavailable
        self.marks.append(exists)
        self.meanwhile()

    def wake(self) -> None:
        self.woken += 1

    async def take(self, popped: PopResult, room: int) -> int:
        """What a lane does once it has popped."""
        self.backlog.note_pop(popped)
        jobs: list[ClaimedJob] = []
        await self.backlog.claim_into(jobs, room)
        return len(jobs)


async def test_it_looks_when_it_begins_and_not_again_while_nothing_speaks_for_it() -> None:
    outside = Outside()
    for _ in range(3):
        assert await outside.take(NOTHING, 10) == 0
    assert outside.looks == [10]
    assert outside.marks == []


@pytest.mark.parametrize(
    "popped",
    [PopResult((), 0, backlog=True), PopResult(tuple((new_id(), 1) for _ in range(CROWDED)), 0)],
    ids=["marked", "crowded"],
)
async def test_what_the_window_says_is_looked_after(popped: PopResult) -> None:
    outside = Outside()
    await outside.take(NOTHING, 10)
    outside.waiting = 4
    assert await outside.take(popped, 10) == 4
    assert not outside.backlog.is_expected


async def test_what_is_left_is_marked_and_the_end_of_it_too() -> None:
    outside = Outside(25)
    assert await outside.take(NOTHING, 10) == 10
    assert outside.marks == [True]
    marked = PopResult((), 0, backlog=True)
    assert await outside.take(marked, 10) == 10
    assert outside.marks == [True]
    assert await outside.take(marked, 10) == 5
    assert outside.marks == [True, False]
    # Who read the mark before may have stored a job since.
    await eventually(lambda: outside.woken == 1, deadline=5)
    assert outside.backlog.is_expected


async def test_environments_that_have_turns_leave_room_for_a_further_look() -> None:
    outside = Outside(25, a_look=4)
    assert await outside.take(NOTHING, 20) == 12
    assert outside.looks == [20, 16, 12]
    assert outside.marks == [True]


async def test_without_room_nothing_is_claimed_and_others_are_told() -> None:
    outside = Outside(3)
    crowded = PopResult(((new_id(), 1),), CROWDED)
    assert await outside.take(crowded, 0) == 0
    assert (outside.looks, outside.marks) == ([], [True])
    outside = Outside(3)
    await outside.take(NOTHING, 10)
    outside.backlog.expect()
    await outside.backlog.tell_others()
    assert (outside.woken, outside.marks) == (1, [True])


async def test_a_mark_that_cannot_be_made_is_made_later() -> None:
    outside = Outside(30)
    outside.is_away = True
    assert await outside.take(NOTHING, 10) == 10
    assert outside.marks == []
    outside.is_away = False
    assert await outside.take(NOTHING, 10) == 10
    assert outside.marks == [True]


async def test_what_is_heard_of_during_a_look_is_looked_after() -> None:
    outside = Outside()

    def another_comes() -> None:
        outside.meanwhile = lambda: None
        outside.waiting = 1
        outside.backlog.expect()

    outside.meanwhile = another_comes
    assert await outside.take(NOTHING, 10) == 0
    assert outside.backlog.is_expected
    assert await outside.take(NOTHING, 10) == 1


async def test_what_is_heard_of_while_the_mark_is_taken_away_is_marked() -> None:
    outside = Outside()
    marked = PopResult((), 0, backlog=True)

    def another_comes() -> None:
        if outside.marks:
            outside.meanwhile = lambda: None
            outside.backlog.expect()

    outside.meanwhile = another_comes
    await outside.take(marked, 10)
    assert outside.marks == [False]
    await outside.backlog.tell_others()
    assert outside.marks == [False, True]


async def test_a_look_that_fails_is_made_again() -> None:
    outside = Outside(3)
    outside.is_down = True
    with pytest.raises(DependencyUnavailable):
        await outside.take(NOTHING, 10)
    outside.is_down = False
    assert await outside.take(NOTHING, 10) == 3
