"""What types of events there are, and reading those of older versions."""

from uuid import uuid4

import orjson
import pytest

from kongflow_common.errors import InvalidField
from kongflow_common.eventing.declared_types import DECLARED_TYPES, DeclaredTypes
from kongflow_common.eventing.envelope import MAX_DATA_BYTES, Belonging, published_event
from kongflow_common.eventing.event_type import EventData, EventType, InvalidEventType, Layer
from kongflow_common.ids import new_id
from kongflow_common.testing.clocks import FixedClock


def split_name(data: EventData) -> EventData:
    first, _, last = data["name"].partition(" ")
    return {"first": first, "last": last}


def with_title(data: EventData) -> EventData:
    return {**data, "title": ""}


RENAMED = EventType("user.renamed", version=3, upcasts={1: split_name, 2: with_title})
TYPES = DeclaredTypes([RENAMED])


def test_every_older_version_is_brought_to_the_newest() -> None:
    newest = {"first": "Ada", "last": "Lovelace", "title": ""}
    assert TYPES.newest("user.renamed", 1, {"name": "Ada Lovelace"}) == (3, newest)
    assert TYPES.newest("user.renamed", 2, {"first": "Ada", "last": "Lovelace"}) == (3, newest)
    assert TYPES.newest("user.renamed", 3, newest) == (3, newest)


def test_what_is_not_known_yet_stays_as_it_is() -> None:
    assert TYPES.newest("user.renamed", 4, {"x": 1}) == (4, {"x": 1})
    assert TYPES.newest("user.moved", 1, {"x": 1}) == (1, {"x": 1})


@pytest.mark.parametrize("upcasts", [(), (1,), (1, 2, 3), (2,)])
def test_a_step_too_few_or_too_many_is_refused(upcasts: tuple[int, ...]) -> None:
    with pytest.raises(InvalidEventType, match="needs its step"):
        EventType("user.renamed", version=3, upcasts=dict.fromkeys(upcasts, with_title))


def test_a_type_is_declared_once() -> None:
    with pytest.raises(InvalidEventType, match="twice"):
        DeclaredTypes([RENAMED, EventType("user.renamed")])


@pytest.mark.parametrize(
    ("name", "layer", "fields"),
    [
        (
            "project.created",
            Layer.DOMAIN,
            ["projectId", "name", "organizationId", "createdBy"],
        ),
        (
            "progress.updated",
            Layer.REALTIME,
            ["projectId", "step", "progress", "message"],
        ),
        ("gitops.sync.failed", Layer.INTEGRATION, ["syncId", "projectId", "message"]),
    ],
)
def test_types_say_their_layer_and_their_data(name: str, layer: Layer, fields: list[str]) -> None:
    type_ = DECLARED_TYPES[name]
    assert (type_.layer, [field.name for field in type_.fields]) == (layer, fields)


def test_every_type_is_told_of() -> None:
    assert all(type_.summary for type_ in DECLARED_TYPES)


def test_the_publisher_fills_in_the_envelope() -> None:
    event_id, clock, environment, original = uuid4(), FixedClock(), uuid4(), uuid4()
    event = published_event(
        DECLARED_TYPES["event.delivered"],
        "resource",
        {"matchedCount": 2},
        belonging=Belonging(environment, uuid4()),
        clock=clock,
        new_id=lambda: event_id,
        user_id="user-7",
        replay_of=original,
    )
    assert orjson.loads(orjson.dumps(event.document())) == {
        "id": str(event_id),
        "type": "event.delivered",
        "version": 1,
        "timestamp": int(clock.at.timestamp() * 1_000),
        "resourceId": "resource",
        "userId": "user-7",
        "replayOf": str(original),
        "data": {"matchedCount": 2},
    }
    assert event.belonging.scope_id == environment


@pytest.mark.parametrize(
    ("resource_id", "data", "field"),
    [
        ("", {}, "resource_id"),
        ("r" * 513, {}, "resource_id"),
        ("r\x00", {}, "resource_id"),
        ("r", {"text": "x" * MAX_DATA_BYTES}, "data"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    resource_id: str, data: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        published_event(
            # Of a type that takes any data.
            EventType("sun.risen"),
            resource_id,
            data,
            belonging=Belonging(),
            clock=FixedClock(),
            new_id=new_id,
        )
    assert refused.value.field == field
