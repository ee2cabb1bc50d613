"""An event that is due at once is matched in memory and delivered as it is stored."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import MESSAGE_COLUMNS, message_from_row
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.delivery_desk import SqlDeliveryDesk
from kongflow_events.adapters.dispatcher_directory import MemoryDispatcherDirectory
from kongflow_events.adapters.event_intake import BatchingEventIntake
from kongflow_events.application import deliver_event
from kongflow_events.application.deliver_from_memory import DeliverEventsFromMemory
from kongflow_events.application.deliveries import DeliverEvent
from kongflow_events.application.task_outcome import DONE, Snooze, TaskOutcome
from kongflow_events.domain.dispatcher_index import MatchedDispatchers
from services.events.tests.events_context import EventsContext
from services.events.tests.integration.test_event_intake import event

DELIVERED = EventRecord.STATE_DELIVERED
UNMATCHED = EventRecord.STATE_UNMATCHED
PENDING = EventRecord.STATE_PENDING


async def known(context: EventsContext, **payload: object) -> None:
    """Sends events until one is matched as it comes in, then forgets their messages."""

    async def is_matched() -> bool:
        return (await context.send(payload=payload)).state != PENDING

    await eventually(is_matched)
    await context.relay_is_idle()
    context.worker_queue.messages.clear()


async def test_an_event_is_delivered_with_the_transaction_that_stores_it(
    matching_context: EventsContext,
) -> None:
    context = matching_context
    one = await context.put("one")
    two = await context.put("two", payload_filter={"total": [{"$gte": 100}]})
    await context.put("other", "order.deleted")
    await context.put("manual", manual=True)
    await context.put("disabled", enabled=False)
    await known(context)
    small = await context.send(payload={"total": 5})
    large = await context.send(payload={"total": 500})
    assert (small.state, small.matched_count) == (DELIVERED, 1)
    assert (large.state, large.matched_count) == (DELIVERED, 2)
    assert large.processed_time == large.create_time == large.delivered_time
    messages = await context.enqueued("events.invokeDispatcher", 3)
    assert {
        (args["eventRecordId"], args["dispatcherId"])
        for args in (orjson.loads(message.args) for message in messages)
    } == {
        (small.id, one.event_dispatcher.id),
        (large.id, one.event_dispatcher.id),
        (large.id, two.event_dispatcher.id),
    }
    await context.enqueued("deliverEvent", 0)
    read = await context.get(large.id)
    read.payload.Clear()
    read.context.Clear()
    sent = EventRecord()
    sent.CopyFrom(large)
    sent.payload.Clear()
    sent.context.Clear()
    assert read == sent


async def test_an_event_that_no_dispatcher_takes_is_done_at_once(
    matching_context: EventsContext,
) -> None:
    await matching_context.put("one", payload_filter={"total": [5]})
    await known(matching_context)
    sent = await matching_context.send(payload={"total": 6})
    assert (sent.state, sent.matched_count) == (UNMATCHED, 0)
    await matching_context.enqueued("deliverEvent", 0)
    await matching_context.enqueued("events.invokeDispatcher", 0)


async def test_an_environment_without_dispatchers_is_known_too(
    matching_context: EventsContext,
) -> None:
    await known(matching_context)
    assert (await matching_context.send()).state == UNMATCHED


async def test_a_change_is_seen_by_the_next_event(matching_context: EventsContext) -> None:
    context = matching_context
    for total in range(5):
        await context.put("one", payload_filter={"total": [total]})
        sent = await context.send(payload={"total": total - 1})
        if sent.state == PENDING:
            [result] = await context.deliver(sent)
            assert not result.status.code
        assert (await context.get(sent.id)).state == UNMATCHED
        await known(context)


async def test_a_dispatcher_that_is_deleted_takes_nothing_any_more(
    matching_context: EventsContext, database: Database
) -> None:
    await matching_context.put("one")
    await matching_context.put("two")
    await known(matching_context)
    await database.pool.execute(
        "DELETE FROM events.event_dispatchers WHERE dispatchable_id = 'one'"
    )
    sent = await matching_context.send()
    assert sent.state == PENDING, "what was known is out of date"
    await known(matching_context)
    assert (await matching_context.send()).matched_count == 1


@pytest.mark.parametrize(
    "options",
    [
        {"deliver_after": 60.0},
        {"deliver_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"account_id": "customer-7"},
    ],
    ids=str,
)
async def test_what_memory_cannot_tell_is_left_to_the_queue(
    matching_context: EventsContext, options: dict[str, object]
) -> None:
    await matching_context.put("one")
    await known(matching_context)
    sent = await matching_context.send(**options)  # type: ignore[arg-type]
    assert sent.state == PENDING
    await matching_context.enqueued("deliverEvent", 1)


async def test_an_event_sent_again_is_answered_as_it_was_delivered(
    matching_context: EventsContext,
) -> None:
    await matching_context.put("one")
    await known(matching_context)
    first = await matching_context.send(event_id="once")
    assert await matching_context.send(event_id="once") == first
    await matching_context.enqueued("events.invokeDispatcher", 1)


async def test_messages_in_the_table_are_those_that_are_handed_over(
    database: Database, intake: BatchingEventIntake, worker_queue: RecordingWorkerQueue
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    matched = MatchedDispatchers(0, [new_id(), new_id()])
    with worker_queue.held():
        stored = await intake.add(event(matched=matched, traceparent=trace))
        columns = MESSAGE_COLUMNS.replace("args", "args::text")
        rows = await database.pool.execute(f"SELECT {columns} FROM events.outbox ORDER BY id")
    assert stored.record.processed_at == stored.record.created_at
    messages = await worker_queue.wait_for("events.invokeDispatcher", 2)
    for row, message in zip(rows, sorted(messages, key=lambda each: each.id), strict=True):
        in_table = message_from_row(row)
        assert orjson.loads(in_table.args) == orjson.loads(message.args)
        assert replace(in_table, args=message.args) == message


async def test_what_was_matched_of_another_version_is_not_delivered(
    intake: BatchingEventIntake, worker_queue: RecordingWorkerQueue
) -> None:
    stored = await intake.add(event(matched=MatchedDispatchers(1, [new_id()])))
    assert stored.record.processed_at is None
    await worker_queue.wait_for("deliverEvent", 1)
    assert not worker_queue.of_kind("events.invokeDispatcher")


async def test_no_event_is_matched_with_what_was_replaced_before_it_was_sent(
    matching_context: EventsContext,
) -> None:
    """Senders and one who changes the dispatcher, at the same time."""
    context = matching_context
    chance = random.Random(7)
    wanted = 0
    changes = 0
    settled = True
    await context.put("one", payload_filter={"n": [wanted]})
    await known(context)
    verdicts: list[tuple[bool, EventRecord]] = []

    async def change() -> None:
        nonlocal wanted, changes, settled
        for _ in range(40):
            settled = False
            changes += 1
            await context.put("one", payload_filter={"n": [wanted + 1]})
            wanted += 1
            settled = True
            for _ in range(chance.randrange(6)):
                await context.send(payload={"n": wanted})

    async def send() -> None:
        while changes < 40:
            before, was_settled, n = changes, settled, wanted - chance.randrange(2)
            sent = await context.send(payload={"n": n})
            if was_settled and settled and before == changes and sent.state != PENDING:
                verdicts.append((n == wanted, sent))

    await asyncio.gather(change(), *(send() for _ in range(4)))
    assert len({expected for expected, _ in verdicts}) == 2, "both kinds of verdict occurred"
    for expected, sent in verdicts:
        assert (sent.state == DELIVERED) == expected


async def test_verdicts_are_those_of_the_queue(matching_context: EventsContext) -> None:
    """What is stored reads differently from what was sent: 1e2 as 100, keys in another order."""
    payloads: list[bytes] = [
        b'{"n": 1e2}',
        b'{"n": 100.0}',
        b'{"n": -0}',
        b'{"n": -0.0}',
        b'{"n": 1, "n": 100}',
        b'{"n": 123456789012345678901234567890}',
        b'{"n": 1.0E+2, "a": {"z": [1, 2], "b": null}}',
        b'{"n": "caf\\u00e9"}',
        b"[1, 2]",
        b'"text"',
    ]
    filters: list[object] = [
        {"n": [100]},
        {"n": [0]},
        {"n": [{"$gte": 1e29}]},
        {"n": ["café"]},
        {"n": [{"$exists": True}]},
        {"a": {"b": [{"$isNull": True}]}},
    ]
    context = matching_context
    for number, each in enumerate(filters):
        await context.put(f"job-{number}", payload_filter=each)
    await known(context)
    for payload in payloads:
        at_once = await context.send_raw(payload)
        assert at_once.state != PENDING
        later = await context.send_raw(
            payload, deliver_at=datetime.now(UTC) + timedelta(milliseconds=1)
        )
        assert later.state == PENDING

        async def is_delivered(record: EventRecord = later) -> bool:
            await context.deliver(record)
            return (await context.get(record.id)).state != PENDING

        await eventually(is_delivered)
        assert (await context.get(later.id)).matched_count == at_once.matched_count, payload


async def test_environments_beyond_the_limit_are_let_go(
    database: Database,
) -> None:
    small = MemoryDispatcherDirectory(database, CompiledDispatchers(), max_dispatchers=3)
    first, second, large = new_id(), new_id(), new_id()
    for environment_id, count in ((first, 2), (second, 2), (large, 4)):
        await database.pool.execute(
            "INSERT INTO events.event_dispatchers "
            "(id, event, source, dispatchable_id, dispatchable, environment_id) "
            "SELECT gen_random_uuid(), ARRAY['x'], 's', n::text, '{}', %(environment_id)b "
            "FROM generate_series(1, %(count)b) AS g(n)",
            {"environment_id": environment_id, "count": count},
        )
    await small._read(first)
    assert len(small) == 1
    await small._read(second)
    assert len(small) == 1, "the first had to go"
    await small._read(large)
    assert len(small) == 1, "it does not fit at all, and nothing went for it"


class LeftOver:
    """Notes what is not delivered from memory, and leaves it."""

    def __init__(self) -> None:
        self.commands: list[DeliverEvent] = []

    async def __call__(self, commands: Sequence[DeliverEvent]) -> Sequence[TaskOutcome]:
        self.commands.extend(commands)
        return [Snooze(timedelta(seconds=7)) for _ in commands]


async def test_a_planned_event_is_delivered_from_memory_and_what_it_cannot_tell_is_left(
    matching_context: EventsContext, relay: OutboxRelay, directory: MemoryDispatcherDirectory
) -> None:
    context = matching_context
    await context.put("one", account_id="customer-7")
    await context.put("two", payload_filter={"n": [5]})
    await known(context)
    left = LeftOver()
    deliver = DeliverEventsFromMemory(
        SqlDeliveryDesk(context.database, CompiledDispatchers(), relay),
        directory,
        left,
    )
    soon = datetime.now(UTC)
    of_account = await context.send(deliver_at=soon, account_id="customer-7", payload={"n": 5})
    of_nobody = await context.send(deliver_at=soon, payload={"n": 6})
    later = await context.send(deliver_after=60, payload={"n": 5})

    def command(record: EventRecord) -> DeliverEvent:
        return DeliverEvent(UUID(record.id), 1, context.environment.environment_id, "")

    commands = [command(later), command(of_account), command(of_account), command(of_nobody)]
    assert await deliver(commands) == [Snooze(timedelta(seconds=7)), DONE, DONE, DONE]
    assert left.commands == commands[:1]
    assert (await context.get(of_account.id)).matched_count == 2
    assert (await context.get(of_nobody.id)).state == UNMATCHED
    await context.enqueued("events.invokeDispatcher", 2)
    # What has changed since is not delivered from memory, but known again soon after.
    await context.put("two", payload_filter={"n": [6]})
    again = await context.send(deliver_at=soon, payload={"n": 6})
    assert await deliver([command(again)]) == [Snooze(timedelta(seconds=7))]

    async def is_known() -> bool:
        return await deliver([command(again)]) == [DONE]

    await eventually(is_known)
    assert (await context.get(again.id)).matched_count == 1


async def test_an_event_of_which_filters_ask_much_is_matched_when_it_is_delivered(
    matching_context: EventsContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = matching_context
    keys = {f"k{number}": [{"$exists": False}] for number in range(39)}
    await context.put("large", payload_filter={"a": {**keys, "z": [{"$exists": True}]}})
    await context.put("small", payload_filter={"b": [1]})
    await known(context, b=1)
    payload = {"a": [{}] * 5_000 + [{"z": 1}], "b": 1}
    events = [await context.send(payload=payload) for _ in range(2)]
    assert {each.state for each in events} == {PENDING}
    # A call that has taken long leaves the others to the next one.
    monkeypatch.setattr(deliver_event, "_FILTER_STEPS_PER_CALL", 100_000)
    await context.deliver(*events)
    states = [(await context.get(each.id)).state for each in events]
    assert sorted(states) == [PENDING, DELIVERED]
    await context.deliver(*events)
    assert [(await context.get(each.id)).matched_count for each in events] == [2, 2]
