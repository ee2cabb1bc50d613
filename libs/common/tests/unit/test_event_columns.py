"""Events that are read together: what comes of them, and what is refused, as if one by one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.event_columns import columns_of, read_columns
from kongflow_common.eventing.event_messages import read_message, to_message
from kongflow_common.ids import new_id

AT = datetime(2026, 5, 4, 3, 2, 1, 987_654, tzinfo=UTC)
ID = "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c"


def events(count: int) -> list[PublishedEvent]:
    """Some that belong to one environment, one with all that an event can have, and a bare one."""
    belonging = Belonging(new_id())
    return [
        *(
            PublishedEvent(
                id=new_id(),
                type="run.created" if number % 2 else "run.started",
                version=1 + number,
                timestamp=AT + timedelta(microseconds=number),
                resource_id=f"run-{number}",
                belonging=belonging,
                data=b'{"number": %d}' % number,
            )
            for number in range(count)
        ),
        PublishedEvent(
            id=new_id(),
            type="project.updated",
            version=7,
            timestamp=AT,
            resource_id="naïve 😀",
            belonging=Belonging(new_id(), new_id(), new_id()),
            data=b'{"text": "' + b"x" * 5_000 + b'"}',
            user_id="user-1",
            replay_of=new_id(),
        ),
        PublishedEvent(
            id=new_id(),
            type="a.b",
            version=1,
            timestamp=datetime(1970, 1, 1, tzinfo=UTC),
            resource_id="r",
            belonging=Belonging(),
            data=b"{}",
        ),
    ]


@pytest.mark.parametrize("some", [slice(0, 5), slice(5, 6), slice(6, 7), slice(0, 7), slice(0, 0)])
def test_events_come_out_as_they_went_in(some: slice) -> None:
    sent = events(5)[some]
    read = read_columns([to_message(event) for event in sent])
    assert read == columns_of(sent)
    assert [read.event(place) for place in range(len(sent))] == sent


def test_an_event_without_data_says_nothing() -> None:
    message = to_message(events(1)[0])
    message.data = b""
    assert read_columns([message]).event(0).data == b"{}"


def test_each_event_is_there_once() -> None:
    first, second, *_ = events(2)
    read = columns_of([first, second, first]).once()
    assert [read.event(place) for place in range(2)] == [first, second]
    assert len(read.ids) == len(read.times) == 2


def setting(field: str, value: object) -> Callable[[pb.PublishedEvent], None]:
    return lambda event: setattr(event, field, value)


def at(seconds: int, nanos: int = 0) -> Callable[[pb.PublishedEvent], None]:
    def change(event: pb.PublishedEvent) -> None:
        event.time.seconds, event.time.nanos = seconds, nanos

    return change


BAD: list[tuple[str, Callable[[pb.PublishedEvent], object]]] = [
    *(
        ("id", setting("id", text))
        for text in (
            "",
            "x",
            f"{{{ID}}}",
            ID.replace("-", ""),
            ID[:-1],
            f"{ID[:-1]} ",
            f"{ID[:-1]}g",
            f"{ID[:-1]}-",
            f"{ID[:7]}-c{ID[9:]}",
            f"-{ID[:-1]}",
        )
    ),
    ("type", setting("type", "Run")),
    ("type", setting("type", "")),
    ("version", setting("version", 0)),
    ("version", setting("version", -1)),
    ("time", lambda event: event.ClearField("time")),
    ("time", at(-1)),
    ("time", at(2**40)),
    ("time", at(1_000, -1)),
    ("time", at(1_000, 1_000_000_000)),
    ("resource_id", setting("resource_id", "")),
    ("resource_id", setting("resource_id", "x" * 513)),
    ("resource_id", setting("resource_id", "a\x00b")),
    ("user_id", setting("user_id", "x" * 513)),
    ("user_id", setting("user_id", "a\x00b")),
    *(
        ("data", setting("data", data))
        for data in (
            b"{",
            b"{} {}",
            b"1, 2",
            b"NaN",
            b'"\xff"',
            b'{"a": "\\u0000"}',
            b"1e-99999",
            b"[" * 201 + b"]" * 201,
            b'"' + b"x" * 140_000 + b'"',
        )
    ),
    ("environment_id", setting("environment_id", "x")),
    ("project_id", setting("project_id", f"{ID}0")),
    ("organization_id", setting("organization_id", "x")),
    ("replay_of", setting("replay_of", "x")),
]


@pytest.mark.parametrize(("field", "change"), BAD)
def test_what_is_no_event_is_refused_as_if_it_came_alone(
    field: str, change: Callable[[pb.PublishedEvent], object]
) -> None:
    messages = [to_message(event) for event in events(3)[:3]]
    change(messages[1])
    with pytest.raises(InvalidField) as alone:
        read_message(messages[1])
    with pytest.raises(InvalidField) as together:
        read_columns(messages)
    assert alone.value.field == field
    assert str(together.value) == str(alone.value.within("events[1]"))
    assert together.value.field == f"events[1].{field}"


def test_neighbours_do_not_make_up_for_each_other() -> None:
    # As long together as two ids, with hyphens in the places of these.
    messages = [to_message(event) for event in events(2)[:2]]
    messages[0].id, messages[1].id = f"{ID}{ID[:4]}", ID[4:]
    with pytest.raises(InvalidField) as refused:
        read_columns(messages)
    assert refused.value.field == "events[0].id"
    messages[0].id, messages[1].id = ID, ID
    messages[0].data, messages[1].data = b'{"a": [1', b"2]}"
    with pytest.raises(InvalidField) as refused:
        read_columns(messages)
    assert refused.value.field == "events[0].data"


def test_capital_digits_are_the_same_id() -> None:
    message = to_message(events(1)[0])
    message.id = ID.upper()
    assert str(read_columns([message]).event(0).id) == ID
