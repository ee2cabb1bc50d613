"""Types of integration events, and the messages that publish them."""

from uuid import uuid4

import orjson
import pytest

from kongflow_common.eventing.envelope import Belonging
from kongflow_common.eventing.event_type import EventType, InvalidEventType, domain_of
from kongflow_common.eventing.publisher import PUBLISH, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import Operation
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.tracing import new_trace, use_trace

ENDED = EventType("run.completed.success", version=2, upcasts={1: dict})


@pytest.mark.parametrize(
    "name", ["run.completed.success", "user.created", "project.init.step_completed", "a.b2"]
)
def test_names_have_two_or_three_lower_case_parts(name: str) -> None:
    assert EventType(name).version == 1
    assert domain_of(name) == name.split(".", maxsplit=1)[0]


@pytest.mark.parametrize(
    "name",
    ["", "run", "run.", ".run", "run.a.b.c", "Run.a", "run.A", "run-a.b", "run.2a", "run a.b",
     "run.a\n", "r" * 127 + ".a"],
)  # fmt: skip
def test_other_names_are_refused_where_they_are_declared(name: str) -> None:
    with pytest.raises(InvalidEventType):
        EventType(name)


def test_versions_begin_with_one() -> None:
    with pytest.raises(InvalidEventType, match="1 is the first"):
        EventType("run.completed.success", version=0)


def test_an_event_is_a_message_in_the_outbox() -> None:
    clock, event_id, environment = FixedClock(), new_id(), uuid4()
    publisher = EventPublisher(FixedInterest(), clock, lambda: event_id)
    with use_trace(new_trace()):
        event = publisher.event(
            ENDED,
            "run-1",
            {"state": "SUCCESS"},
            belonging=Belonging(environment),
            user_id="user-7",
        )
        message = publisher.enqueued(event)
    assert (message.operation, message.kind) == (Operation.ENQUEUE, PUBLISH)
    assert message.environment_id == environment
    assert message.traceparent
    assert orjson.loads(message.args) == {
        "id": str(event_id),
        "type": "run.completed.success",
        "version": 2,
        "timestamp": str(int(clock.at.timestamp() * 1_000)),
        "resourceId": "run-1",
        "userId": "user-7",
        "data": {"state": "SUCCESS"},
    }


def test_nobody_in_particular_is_left_out() -> None:
    publisher = EventPublisher(FixedInterest(), FixedClock(), new_id)
    event = publisher.event(ENDED, "run-1", {}, belonging=Belonging())
    message = publisher.enqueued(event)
    assert "userId" not in orjson.loads(message.args)
    assert message.environment_id is None


async def test_a_type_is_wanted_when_anybody_consumes_it() -> None:
    publisher = EventPublisher(FixedInterest(ENDED.name), FixedClock(), new_id)
    assert await publisher.wanted(ENDED)
    assert not await publisher.wanted(EventType("run.completed.failure"))
