"""How far a replay is and how fast it goes."""

from datetime import UTC, datetime, timedelta

import pytest

from kongflow_common.ids import new_id
from kongflow_events.domain.event_record import Tenancy
from kongflow_events.domain.event_replay import (
    EventReplay,
    ReplayKind,
    ReplayState,
    StepCounts,
    new_event_id,
    replayed_event_id,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def replay(events_per_second: int = 10) -> EventReplay:
    return EventReplay(
        id=new_id(),
        tenancy=Tenancy(new_id(), new_id(), new_id()),
        kind=ReplayKind.REPLAY,
        filter="",
        start_at=None,
        end_at=NOW,
        dispatcher_id=None,
        events_per_second=events_per_second,
        total=100,
        counts=StepCounts(),
        cursor=None,
        next_at=NOW,
        created_at=NOW,
    )


@pytest.mark.parametrize(("rate", "at_once"), [(1, 1), (10, 10), (500, 500), (1_000, 500)])
def test_a_step_takes_no_more_than_a_second_has(rate: int, at_once: int) -> None:
    assert replay(rate).events_at_once == at_once


def test_next_step_is_due_when_the_rate_allows_it() -> None:
    cursor = new_id()
    after = replay().advance(StepCounts(replayed=3, skipped=1, refused=1), cursor, NOW)
    assert (after.counts.all, after.cursor) == (5, cursor)
    assert after.waits(NOW) == timedelta(seconds=0.5)
    assert after.waits(NOW + timedelta(seconds=0.5)) is None
    assert after.advance(StepCounts(replayed=2), cursor, NOW).counts == StepCounts(5, 1, 1)


def test_what_was_missed_is_not_caught_up_with() -> None:
    late = NOW + timedelta(hours=1)
    after = replay().advance(StepCounts(replayed=10), new_id(), late)
    assert after.waits(late) == timedelta(seconds=1)


def test_a_step_that_found_nothing_costs_no_time() -> None:
    assert replay().advance(StepCounts(), new_id(), NOW).waits(NOW) is None


def test_end_says_why() -> None:
    ended = replay().end(ReplayState.FAILED, NOW, "its dispatcher is gone")
    assert (ended.state, ended.ended_at, ended.error) == (
        ReplayState.FAILED,
        NOW,
        "its dispatcher is gone",
    )


@pytest.mark.parametrize("length", [1, 400, 512])
def test_id_of_a_replay_is_as_long_as_ids_may_be(length: int) -> None:
    made = new_event_id("x" * length, 1_795_662_792_188)
    assert made.endswith("x:replay:1795662792188")
    assert len(made) <= 512


def test_id_of_one_of_many_is_the_same_each_time() -> None:
    one, record, other = new_id(), new_id(), new_id()
    assert replayed_event_id(one, record) == replayed_event_id(one, record)
    assert len({replayed_event_id(one, record), replayed_event_id(one, other)}) == 2
    assert len(replayed_event_id(one, record)) <= 512
