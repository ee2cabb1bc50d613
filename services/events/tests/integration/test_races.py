"""Sends, cancels and deliveries of one event at once, beside a small model of what may come of it.

KONGFLOW_TEST_RACES says how many races are run; 50 when it is not set.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from uuid import UUID

import grpc
import orjson

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from services.events.tests.events_context import EventsContext

RACES = int(os.environ.get("KONGFLOW_TEST_RACES", "50"))
AT_ONCE = 25
TOLD = grpc.StatusCode.OK
REFUSED = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def cancel(context: EventsContext, event_id: str) -> grpc.StatusCode:
    """How the event was cancelled."""
    try:
        await context.client.CancelEvent(
            pb.CancelEventRequest(event_id=event_id), metadata=context.as_sender, timeout=30
        )
    except grpc.aio.AioRpcError as error:
        return error.code()
    return TOLD


async def invocations(context: EventsContext) -> Counter[str]:
    """How often a dispatcher is to be invoked for each record."""
    await context.relay_is_idle()
    messages = context.worker_queue.of_kind("events.invokeDispatcher")
    return Counter(orjson.loads(message.args)["eventRecordId"] for message in messages)


async def test_an_event_is_never_both_cancelled_and_delivered(context: EventsContext) -> None:
    await context.put()

    async def race(number: int) -> tuple[str, grpc.StatusCode]:
        record = await context.send(event_id=f"race-{number}")
        runners = [
            context.deliver(record),
            cancel(context, record.event_id),
            context.deliver(record),
        ]
        order = [0, 1, 2] if number % 2 else [1, 0, 2]
        answers: list[object] = [None] * 3
        for place, answer in zip(
            order, await asyncio.gather(*(runners[place] for place in order)), strict=True
        ):
            answers[place] = answer
        code = answers[1]
        assert isinstance(code, grpc.StatusCode)
        return record.id, code

    won: Counter[grpc.StatusCode] = Counter()
    codes: dict[str, grpc.StatusCode] = {}
    for start in range(0, RACES, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, RACES))
        codes.update(await asyncio.gather(*map(race, numbers)))
    invoked = await invocations(context)
    for record_id, code in codes.items():
        won[code] += 1
        state = (await context.get(record_id)).state
        if code is TOLD:
            assert (state, invoked[record_id]) == (EventRecord.STATE_CANCELLED, 0)
        else:
            assert code is REFUSED
            assert (state, invoked[record_id]) == (EventRecord.STATE_DELIVERED, 1)
    assert sum(won.values()) == RACES
    assert len(won) == 2, f"one side always wins, so nothing is raced: {won}"


@dataclass(frozen=True)
class Known:
    """What the model says of an event that is stored."""

    state: "EventRecord.State.ValueType"
    is_future: bool
    payload: int
    revision: int


@dataclass(frozen=True)
class Send:
    payload: int
    later: bool


@dataclass(frozen=True)
class Cancel:
    pass


@dataclass(frozen=True)
class Deliver:
    record_id: str
    revision: int


Step = Send | Cancel | Deliver
Outcome = tuple[Known | None, tuple[grpc.StatusCode, ...]]


def after(known: Known | None, step: Step) -> tuple[Known | None, grpc.StatusCode]:
    """The model: what a step makes of an event, and how it is answered."""
    pending = known is not None and known.state == EventRecord.STATE_PENDING
    if isinstance(step, Send):
        if known is None:
            return Known(EventRecord.STATE_PENDING, step.later, step.payload, 1), TOLD
        if pending and known.is_future:
            revision = known.revision + 1
            return Known(EventRecord.STATE_PENDING, step.later, step.payload, revision), TOLD
        return known, TOLD
    if isinstance(step, Cancel):
        if known is None:
            return None, NOT_FOUND
        if pending:
            return replace(known, state=EventRecord.STATE_CANCELLED), TOLD
        return known, TOLD if known.state == EventRecord.STATE_CANCELLED else REFUSED
    if known is not None and pending and known.revision == step.revision and not known.is_future:
        return replace(known, state=EventRecord.STATE_DELIVERED), TOLD
    return known, TOLD


def outcomes(known: Known | None, steps: Sequence[Step]) -> Iterator[Outcome]:
    """All that may come of steps that are taken at once: as if in some order."""
    for order in permutations(range(len(steps))):
        state, answers = known, [TOLD] * len(steps)
        for place in order:
            state, answers[place] = after(state, steps[place])
        yield state, tuple(answers)


async def take(context: EventsContext, event_id: str, step: Step) -> grpc.StatusCode:
    """Takes a step for real."""
    if isinstance(step, Cancel):
        return await cancel(context, event_id)
    if isinstance(step, Send):
        await context.send(
            event_id=event_id,
            payload={"n": step.payload},
            deliver_after=3600 if step.later else None,
        )
    else:
        record = EventRecord(id=step.record_id, delivery_revision=step.revision)
        await context.deliver(record)
    return TOLD


async def stored(context: EventsContext, event_id: str) -> tuple[str, Known | None]:
    """What is stored of the event, as the model has it."""
    rows = await context.database.pool.execute(
        """
        SELECT id, cancelled_at IS NOT NULL, processed_at IS NOT NULL, deliver_at > now(),
               (payload ->> 'n')::int, delivery_revision
          FROM events.event_records WHERE event_id = %(event_id)b::text
        """,
        {"event_id": event_id},
    )
    if not rows:
        return str(UUID(int=0)), None
    [(record_id, cancelled, processed, is_future, payload, revision)] = rows
    state = EventRecord.STATE_DELIVERED if processed else EventRecord.STATE_PENDING
    assert not (cancelled and processed)
    if cancelled:
        state = EventRecord.STATE_CANCELLED
    return str(record_id), Known(state, is_future, payload, revision)


async def test_whatever_is_done_at_once_ends_as_if_in_some_order(context: EventsContext) -> None:
    await context.put()
    chance = random.Random(20261126)

    async def live(number: int) -> tuple[str, Known | None]:
        event_id, payload = f"model-{number}", 0
        record_id, known = await stored(context, event_id)
        for _ in range(4):
            steps: list[Step] = []
            for _ in range(chance.randint(1, 4)):
                payload += 1
                kind = chance.choice("sssccd")
                if kind == "s" or (kind == "d" and known is None):
                    steps.append(Send(payload, later=chance.random() < 0.7))
                elif kind == "c":
                    steps.append(Cancel())
                else:
                    assert known is not None
                    steps.append(Deliver(record_id, known.revision))
            allowed = set(outcomes(known, steps))
            answers = await asyncio.gather(*(take(context, event_id, each) for each in steps))
            record_id, known = await stored(context, event_id)
            assert (known, tuple(answers)) in allowed, steps
        return record_id, known

    lives: list[tuple[str, Known | None]] = []
    for start in range(0, RACES, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, RACES))
        lives.extend(await asyncio.gather(*map(live, numbers)))
    invoked = await invocations(context)
    states = Counter(known.state for _, known in lives if known is not None)
    # How many there are is a matter of who comes first.
    assert len(states) >= 2, f"the steps lead to one state: {states}"
    for record_id, known in lives:
        delivered = known is not None and known.state == EventRecord.STATE_DELIVERED
        assert invoked[record_id] == int(delivered)
