"""The outbox and its relay, on a real database; the worker queue is a recording one."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.ids import new_id
from kongflow_common.outbox.claims import OutboxClaims
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.limits import ConcurrencyLimit, JobLimits, LimitKey, RateLimit
from kongflow_common.outbox.message import (
    JobKeyMode,
    OutboxMessage,
    Priority,
    Uniqueness,
)
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_common.testing import RecordingWorkerQueue, eventually
from kongflow_common.tracing import current_traceparent, new_trace, use_trace
from libs.common.tests.integration.outbox.shop import (
    a_message,
    a_relay,
    expire_claims,
    insert,
    is_empty,
    left,
    ready,
)

# Messages


async def test_a_message_comes_back_from_the_table_as_it_was(database: Database) -> None:
    with use_trace(new_trace()):
        full = OutboxMessage.enqueue(
            "pack",
            b'{"id": "x"}',
            environment_id=new_id(),
            queue="parcels",
            job_key="parcel:1",
            job_key_mode=JobKeyMode.KEEP_FIRST,
            generation=2**40,
            run_at=datetime(2030, 1, 1, tzinfo=UTC),
            priority=Priority.LOW,
            max_attempts=3,
            tags=["a", "b"],
            metadata={"who": "me"},
            unique=Uniqueness(by_args=True, args=("id",)),
            limits=JobLimits(
                serial=LimitKey("line", ("id",)),
                concurrency=ConcurrencyLimit(LimitKey("dock"), 4),
                rate=RateLimit(LimitKey("dock"), 3, timedelta(seconds=1), burst=2),
            ),
        )
        assert full.traceparent == current_traceparent()
    plain = OutboxMessage.enqueue("send", b"{}", environment_id=None)
    debounced = OutboxMessage.enqueue(
        "pack",
        b"{}",
        environment_id=None,
        job_key="parcel:2",
        delay=timedelta(seconds=1.5),
        longest_wait=timedelta(minutes=1),
        unique=Uniqueness(
            by_args=False,
            by_queue=True,
            by_kind=True,
            window=timedelta(days=2),
            states=("available", "scheduled", "retryable"),
        ),
    )
    removal = OutboxMessage.remove("pack", "parcel:1", environment_id=None, generation=7)
    messages = [full, plain, debounced, removal]
    await insert(database, messages)
    assert await OutboxClaims(database, "shop", "me", 500).claim() == messages


async def test_a_rule_is_written_as_the_last_version_reads_it(database: Database) -> None:
    await insert(
        database,
        [
            OutboxMessage.enqueue(
                "pack", b"{}", environment_id=None, unique=Uniqueness(by_args=True, args=("id",))
            )
        ],
    )
    rows = await database.pool.execute("SELECT uniqueness, options FROM shop.outbox")
    assert rows == [({"by_args": True, "args": ["id"]}, {})]


@pytest.mark.parametrize(
    "options",
    [
        {"job_key_mode": JobKeyMode.KEEP_FIRST},
        {"delay": timedelta(seconds=-1)},
        {"delay": timedelta(seconds=1), "run_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"longest_wait": timedelta(seconds=1), "delay": timedelta(seconds=1)},
        {"longest_wait": timedelta(seconds=1), "job_key": "k"},
        {
            "longest_wait": timedelta(seconds=1),
            "delay": timedelta(seconds=1),
            "job_key": "k",
            "job_key_mode": JobKeyMode.PRESERVE_RUN_TIME,
        },
    ],
)
def test_options_that_conflict_are_refused_before_the_commit(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"given|is for|negative"):
        OutboxMessage.enqueue("pack", b"{}", environment_id=None, **options)


@pytest.mark.parametrize(
    "rule",
    [
        {"by_args": False, "window": timedelta(minutes=1)},
        {"by_args": False, "states": ("available",)},
        {"by_args": False, "by_kind": True, "args": ("id",)},
        {"by_args": True, "window": timedelta()},
        {"by_args": True, "states": ("available", "waiting")},
    ],
)
def test_a_rule_that_says_nothing_sound_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"without|must"):
        Uniqueness(**rule)


async def test_messages_whose_owner_was_not_stored_are_left_out(database: Database) -> None:
    owners = RowParameters("t", id="uuid", name="text")
    rows = OutboxRows("shop", join="JOIN stored ON stored.id = o.owner")
    await database.pool.execute("CREATE TABLE shop.parcels (id uuid, name text UNIQUE)")
    statement = f"""
        WITH stored AS (
            INSERT INTO shop.parcels SELECT {owners.columns} FROM {owners.source}
            ON CONFLICT DO NOTHING RETURNING id),
        sent AS ({rows.insert} RETURNING id)
        SELECT id FROM sent
    """
    first, second, third = new_id(), new_id(), new_id()
    messages = [a_message(), a_message(), a_message()]
    parameters = {
        **owners.bind([(first, "a"), (second, "a"), (third, "b")]),
        **rows.bind(messages, None, [first, second, third]),
    }
    sent = await database.pool.execute(statement, parameters)
    assert {id_ for (id_,) in sent} == {messages[0].id, messages[2].id}
    assert await left(database) == [messages[0].id, messages[2].id]


# Sending what was just committed


async def test_an_offered_message_leaves_in_the_same_turn_and_without_a_claim(
    database: Database, worker_queue: RecordingWorkerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The look at the table once a second would be in the way of counting turns.
    monkeypatch.setattr("kongflow_common.outbox.relay._CLAIM_INTERVAL", 600.0)
    async with a_relay(database, worker_queue) as relay:
        for _ in range(3):
            claimed_by = await ready(relay)
            message = a_message()
            await insert(database, [message], claimed_by)
            calls = len(worker_queue.calls)
            relay.committed([message], claimed_by)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert worker_queue.calls[calls:] == [[message]]
        await eventually(lambda: is_empty(database))
    assert len(worker_queue.calls) == 3


async def test_a_batch_is_followed_by_a_rest_that_ends_with_twice_as_many(
    database: Database, worker_queue: RecordingWorkerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kongflow_common.outbox.relay._CLAIM_INTERVAL", 600.0)
    monkeypatch.setattr(
        "kongflow_common.outbox.relay.rest_seconds", lambda size: 600.0 if size > 3 else 0.0
    )
    async with a_relay(database, worker_queue) as relay:
        claimed_by = await ready(relay)
        messages = [a_message() for _ in range(15)]
        await insert(database, messages, claimed_by)
        relay.committed(messages[:5], claimed_by)
        await eventually(lambda: len(worker_queue.calls) == 1)
        for message in messages[5:-1]:
            relay.committed([message], claimed_by)
            await asyncio.sleep(0)
        assert len(worker_queue.calls) == 1
        relay.committed(messages[-1:], claimed_by)
        await eventually(lambda: is_empty(database))
    assert worker_queue.calls == [messages[:5], messages[5:]]


async def test_a_unit_of_work_sends_after_its_commit_only(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with a_relay(database, worker_queue) as relay:
        await ready(relay)
        async with OutboxUnitOfWork(database, relay) as uow:
            await uow.outbox.add(a_message("lost"))
        async with OutboxUnitOfWork(database, relay) as uow:
            await uow.outbox.add(a_message("pack"), a_message("send"))
            assert not worker_queue.calls
            await uow.commit()
        await worker_queue.wait_for("send")
        assert [message.kind for message in worker_queue.messages] == ["pack", "send"]
        worker_queue.assert_enqueued("pack", a=1)
        worker_queue.assert_not_enqueued("lost")
        await eventually(lambda: is_empty(database))


async def test_more_than_memory_should_hold_goes_through_the_table(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with a_relay(database, worker_queue, batch_size=10, max_offered=20) as relay:
        await ready(relay)
        sent = 0
        with worker_queue.held():
            for _ in range(10):
                messages = [a_message() for _ in range(7)]
                claimed_by = relay.claimed_by_for_new_rows()
                await insert(database, messages, claimed_by)
                relay.committed(messages, claimed_by)
                sent += len(messages)
            assert relay.claimed_by_for_new_rows() is None
        await worker_queue.wait_for("pack", sent)
        await eventually(lambda: is_empty(database))
        assert await ready(relay) == "this"
    assert max(len(call) for call in worker_queue.calls) == 10


# Leftovers


async def test_what_others_left_is_sent_oldest_first(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    messages = [a_message() for _ in range(25)]
    await insert(database, messages[:20])
    await insert(database, messages[20:], "one that died")
    await expire_claims(database)
    async with a_relay(database, worker_queue, batch_size=10):
        await worker_queue.wait_for("pack", 25)
        await eventually(lambda: is_empty(database))
    assert worker_queue.messages == messages


async def test_rows_of_another_process_are_found_without_a_word(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with a_relay(database, worker_queue) as relay:
        await ready(relay)
        await insert(database, [a_message()])
        await worker_queue.wait_for("pack")


async def test_what_another_relay_has_claimed_is_left_to_it(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    theirs, ours = a_message(), a_message()
    await insert(database, [theirs], "another")
    await insert(database, [ours])
    async with a_relay(database, worker_queue) as relay:
        await worker_queue.wait_for("pack")
        await ready(relay)
    assert worker_queue.messages == [ours]
    assert await left(database) == [theirs.id]


async def test_several_relays_share_the_work_without_a_repeat(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    await insert(database, [a_message() for _ in range(300)])
    async with (
        a_relay(database, worker_queue, instance="a", batch_size=20),
        a_relay(database, worker_queue, instance="b", batch_size=20),
        a_relay(database, worker_queue, instance="c", batch_size=20),
    ):
        await worker_queue.wait_for("pack", 300)
        await eventually(lambda: is_empty(database))
    assert sum(len(call) for call in worker_queue.calls) == 300


async def test_a_message_waits_for_an_earlier_one_with_its_key(database: Database) -> None:
    mine = OutboxClaims(database, "shop", "me", 2)
    theirs = OutboxClaims(database, "shop", "they", 2)
    first, second, third = (
        a_message(job_key="k"),
        a_message(job_key="k"),
        a_message(job_key="other"),
    )
    await insert(database, [first], "they")
    await insert(database, [second, third])
    assert await mine.claim() == [third]
    await theirs.release([first.id])
    assert await mine.claim() == [first, second]


async def test_only_one_relay_claims_at_a_time(database: Database) -> None:
    await insert(database, [a_message()])
    claims = OutboxClaims(database, "shop", "me", 10)
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext('kongflow.outbox'), hashtext('shop'))"
        )
        assert await claims.claim() is None
    claimed = await claims.claim()
    assert claimed is not None
    assert len(claimed) == 1


async def test_a_call_holds_no_more_than_a_request_may(database: Database) -> None:
    args = b'{"a": "' + b"x" * 500_000 + b'"}'
    messages = [OutboxMessage.enqueue("pack", args, environment_id=None) for _ in range(40)]
    await insert(database, messages)
    worker_queue = RecordingWorkerQueue()
    async with a_relay(database, worker_queue):
        await eventually(partial(is_empty, database))
    assert worker_queue.messages == messages
    sizes = [sum(len(message.args) for message in call) for call in worker_queue.calls]
    assert max(sizes) <= 8 * 1024 * 1024
    assert len(sizes) == 3
