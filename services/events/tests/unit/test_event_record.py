"""The rules for repeated and cancelled events, on a clock that stands still."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kongflow_common.ids import new_id
from kongflow_events.domain.errors import EventDeliveryBegun
from kongflow_events.domain.event_record import (
    EventRecord,
    EventState,
    PayloadType,
    Resent,
    Tenancy,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
NOTHING = Resent(payload=None, context=None, payload_type=None, deliver_at=None)


def record(**changes: object) -> EventRecord:
    due = EventRecord(
        id=new_id(),
        event_id="one",
        name="order.created",
        source="trigger.dev",
        timestamp=NOW,
        payload_type=PayloadType.JSON,
        tenancy=Tenancy(new_id(), new_id(), new_id()),
        deliver_at=NOW + timedelta(hours=1),
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(due, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ahead", "replaceable"),
    [
        (timedelta(milliseconds=5_000), True),
        (timedelta(milliseconds=4_999), False),
        (timedelta(milliseconds=5_001), True),
        # The senders' clocks know no microseconds: both times are cut to milliseconds.
        (timedelta(milliseconds=5_000, microseconds=999), True),
        (timedelta(milliseconds=4_999, microseconds=999), False),
        (timedelta(0), False),
        (timedelta(days=-1), False),
    ],
)
def test_event_is_replaceable_while_it_is_due_in_five_seconds_or_more(
    ahead: timedelta, replaceable: bool
) -> None:
    assert record(deliver_at=NOW + ahead).is_replaceable(NOW) is replaceable


def test_microseconds_of_the_clock_do_not_count() -> None:
    due = record(deliver_at=NOW + timedelta(milliseconds=5_000))
    assert due.is_replaceable(NOW + timedelta(microseconds=999))


def test_repeat_changes_type_and_time_and_nothing_else() -> None:
    stored = record()
    at = NOW + timedelta(days=1)
    changed = stored.resend(replace(NOTHING, payload_type=PayloadType.REQUEST, deliver_at=at), NOW)
    assert changed == replace(
        stored, payload_type=PayloadType.REQUEST, deliver_at=at, delivery_revision=2
    )


def test_q5_repeat_without_a_delay_makes_the_event_due_now() -> None:
    changed = record().resend(NOTHING, NOW)
    assert changed is not None
    assert changed.deliver_at == NOW
    assert changed.payload_type is PayloadType.JSON


@pytest.mark.parametrize(
    "changes",
    [
        {"cancelled_at": NOW},
        {"processed_at": NOW},
        {"processed_at": NOW, "delivered_at": NOW, "matched_count": 1},
        {"delivery_cursor": new_id()},
        {"deliver_at": NOW},
    ],
)
def test_q4_repeat_of_what_is_cancelled_begun_or_due_changes_nothing(
    changes: dict[str, object],
) -> None:
    assert record(**changes).resend(NOTHING, NOW) is None


def test_cancelling() -> None:
    pending = record()
    cancelled = pending.cancel(NOW)
    assert cancelled == replace(pending, cancelled_at=NOW)
    assert cancelled.cancel(NOW + timedelta(hours=1)) is cancelled


@pytest.mark.parametrize("changes", [{"processed_at": NOW}, {"delivery_cursor": new_id()}])
def test_event_whose_delivery_has_begun_is_not_cancelled(changes: dict[str, object]) -> None:
    with pytest.raises(EventDeliveryBegun) as raised:
        record(**changes).cancel(NOW)
    assert raised.value.subject == "events/one"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, EventState.PENDING),
        ({"delivery_cursor": new_id(), "matched_count": 3}, EventState.PENDING),
        ({"cancelled_at": NOW}, EventState.CANCELLED),
        ({"processed_at": NOW}, EventState.UNMATCHED),
        ({"processed_at": NOW, "matched_count": 1, "delivered_at": NOW}, EventState.DELIVERED),
    ],
)
def test_states(changes: dict[str, object], state: EventState) -> None:
    assert record(**changes).state is state
