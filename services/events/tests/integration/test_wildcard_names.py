"""Names with stars find their dispatchers in memory and in the database alike."""

import random
import re
from uuid import UUID

import orjson

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.testing.polling import eventually
from kongflow_events.application.deliveries import DeliverEvent
from services.events.tests.events_context import EventsContext
from services.events.tests.integration.test_delivery import in_steps

PIECES = ["*", "a", "b", ".", "%", "_", "é"]
DISPATCHERS = 60
EVENTS = 40


def made_names(chance: random.Random) -> list[str]:
    """Names that are patterns too; backslashes and stars may be meant literally."""
    names = []
    for _ in range(chance.choice([1, 1, 2])):
        pieces = [chance.choice([*PIECES, "\\*", "\\\\"]) for _ in range(chance.randrange(1, 5))]
        names.append(re.sub(r"(?<!\\)\*{2,}", "*", "".join(pieces)).replace("\\**", "\\*"))
    return names


def is_taken(names: list[str], name: str, *, wildcards: bool) -> bool:
    if not wildcards:
        return name in names
    for pattern in names:
        tokens = re.findall(r"\\.|.", pattern)
        expression = "".join(".*" if each == "*" else re.escape(each[-1]) for each in tokens)
        if re.fullmatch(expression, name):
            return True
    return False


async def put_some(
    context: EventsContext, chance: random.Random
) -> dict[str, tuple[list[str], bool]]:
    put: dict[str, tuple[list[str], bool]] = {}
    for n in range(DISPATCHERS):
        names, wildcards = made_names(chance), chance.random() < 0.7
        answer = await context.put(f"job-{n}", *names, wildcards=wildcards)
        put[answer.event_dispatcher.id] = (list(dict.fromkeys(names)), wildcards)
    return put


def event_name(chance: random.Random) -> str:
    return "".join(chance.choice([*PIECES, "\\"]) for _ in range(chance.randrange(1, 5)))


async def invoked(context: EventsContext, record: EventRecord) -> set[str]:
    await context.relay_is_idle()
    arguments = [
        orjson.loads(message.args)
        for message in context.worker_queue.of_kind("events.invokeDispatcher")
    ]
    return {each["dispatcherId"] for each in arguments if each["eventRecordId"] == record.id}


async def explained(context: EventsContext, record: EventRecord) -> set[str]:
    taking: set[str] = set()
    token = ""
    while True:
        answer = await context.client.ExplainEvent(
            pb.ExplainEventRequest(id=record.id, page_token=token),
            metadata=context.as_sender,
            timeout=10,
        )
        taking |= {each.dispatcher_id for each in answer.verdicts if each.matched}
        token = answer.next_page_token
        if not token:
            return taking


async def test_the_database_finds_them(context: EventsContext) -> None:
    chance = random.Random(5)
    put = await put_some(context, chance)
    by_steps = in_steps(context, 7, 100)
    found = 0
    for n in range(EVENTS):
        name = event_name(chance)
        record = await context.send(name=name)
        if n % 2:
            await by_steps(
                [
                    DeliverEvent(
                        UUID(record.id),
                        record.delivery_revision,
                        context.environment.environment_id,
                        "",
                    )
                ]
            )
        else:
            await context.deliver(record)
        expected = {
            each
            for each, (names, wildcards) in put.items()
            if is_taken(names, name, wildcards=wildcards)
        }
        assert await invoked(context, record) == expected, name
        assert await explained(context, record) == expected, name
        found += len(expected)
    assert found > EVENTS


async def test_memory_finds_them(matching_context: EventsContext) -> None:
    context = matching_context
    chance = random.Random(6)
    put = await put_some(context, chance)

    async def is_known() -> bool:
        return (await context.send(name="known")).state != EventRecord.STATE_PENDING

    await eventually(is_known)
    found = 0
    for _ in range(EVENTS):
        name = event_name(chance)
        record = await context.send(name=name)
        assert record.state != EventRecord.STATE_PENDING
        expected = {
            each
            for each, (names, wildcards) in put.items()
            if is_taken(names, name, wildcards=wildcards)
        }
        assert await invoked(context, record) == expected, name
        found += len(expected)
    assert found > EVENTS
