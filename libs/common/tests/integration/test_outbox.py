"""The outbox and its relay, on a real database; the worker queue is a recording one."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import pytest
import sqlalchemy as sa

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.outbox.claims import OutboxClaims
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.enqueuer import Refusal
from kongflow_common.outbox.message import (
    JobKeyMode,
    OutboxMessage,
    Priority,
    Uniqueness,
)
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_common.outbox.table import outbox_table
from kongflow_common.supervision import Backoff
from kongflow_common.testing import RecordingWorkerQueue, eventually
from kongflow_common.tracing import current_traceparent, new_trace, use_trace
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer

ROWS = OutboxRows("shop")
QUICK = Backoff(initial=0.01, longest=0.05)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    metadata = sa.MetaData()
    outbox_table(metadata, "shop")
    async with Database.connect(database_url, pool_size=4, application_name="test") as connected:
        async with connected.engine.begin() as connection:
            await connection.execute(sa.text("DROP SCHEMA IF EXISTS shop CASCADE"))
            await connection.execute(sa.text("CREATE SCHEMA shop"))
            await connection.run_sync(metadata.create_all)
        yield connected


def _relay(
    database: Database,
    queue: RecordingWorkerQueue,
    *,
    instance: str = "this",
    batch_size: int = 500,
    max_offered: int = 10_000,
) -> OutboxRelay:
    return OutboxRelay(
        database,
        "shop",
        queue,
        instance=instance,
        batch_size=batch_size,
        max_offered=max_offered,
        backoff=QUICK,
    )


def _message(kind: str = "pack", job_key: str = "") -> OutboxMessage:
    return OutboxMessage.enqueue(kind, b'{"a": 1}', environment_id=new_id(), job_key=job_key)


async def _insert(
    database: Database, messages: list[OutboxMessage], claimed_by: str | None = None
) -> None:
    await database.pool.execute(ROWS.insert, ROWS.bind(messages, claimed_by))


async def _left(database: Database) -> list[UUID]:
    return [id_ for (id_,) in await database.pool.execute("SELECT id FROM shop.outbox ORDER BY id")]


async def _is_empty(database: Database) -> bool:
    return not await _left(database)


async def _ready(relay: OutboxRelay) -> str:
    async def name() -> str | None:
        return relay.claimed_by_for_new_rows()

    return await eventually(name) or ""


async def _expire_claims(database: Database) -> None:
    await database.pool.execute(
        "UPDATE shop.outbox SET claimed_until = clock_timestamp() - interval '1 second'"
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
        )
        assert full.traceparent == current_traceparent()
    plain = OutboxMessage.enqueue("send", b"{}", environment_id=None)
    removal = OutboxMessage.remove("pack", "parcel:1", environment_id=None, generation=7)
    await _insert(database, [full, plain, removal])
    assert await OutboxClaims(database, "shop", "me", 500).claim() == [full, plain, removal]


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
    messages = [_message(), _message(), _message()]
    parameters = {
        **owners.bind([(first, "a"), (second, "a"), (third, "b")]),
        **rows.bind(messages, None, [first, second, third]),
    }
    sent = await database.pool.execute(statement, parameters)
    assert {id_ for (id_,) in sent} == {messages[0].id, messages[2].id}
    assert await _left(database) == [messages[0].id, messages[2].id]


# Sending what was just committed


async def test_an_offered_message_leaves_in_the_same_turn_and_without_a_claim(
    database: Database, worker_queue: RecordingWorkerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The look at the table once a second would be in the way of counting turns.
    monkeypatch.setattr("kongflow_common.outbox.relay._CLAIM_INTERVAL", 600.0)
    async with _relay(database, worker_queue) as relay:
        for _ in range(3):
            claimed_by = await _ready(relay)
            message = _message()
            await _insert(database, [message], claimed_by)
            calls = len(worker_queue.calls)
            relay.committed([message], claimed_by)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert worker_queue.calls[calls:] == [[message]]
        await eventually(lambda: _is_empty(database))
    assert len(worker_queue.calls) == 3


async def test_a_unit_of_work_sends_after_its_commit_only(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with _relay(database, worker_queue) as relay:
        await _ready(relay)
        async with OutboxUnitOfWork(database, relay) as uow:
            await uow.outbox.add(_message("lost"))
        async with OutboxUnitOfWork(database, relay) as uow:
            await uow.outbox.add(_message("pack"), _message("send"))
            assert not worker_queue.calls
            await uow.commit()
        await worker_queue.wait_for("send")
        assert [message.kind for message in worker_queue.messages] == ["pack", "send"]
        worker_queue.assert_enqueued("pack", a=1)
        worker_queue.assert_not_enqueued("lost")
        await eventually(lambda: _is_empty(database))


async def test_more_than_memory_should_hold_goes_through_the_table(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with _relay(database, worker_queue, batch_size=10, max_offered=20) as relay:
        await _ready(relay)
        sent = 0
        with worker_queue.held():
            for _ in range(10):
                messages = [_message() for _ in range(7)]
                claimed_by = relay.claimed_by_for_new_rows()
                await _insert(database, messages, claimed_by)
                relay.committed(messages, claimed_by)
                sent += len(messages)
            assert relay.claimed_by_for_new_rows() is None
        await worker_queue.wait_for("pack", sent)
        await eventually(lambda: _is_empty(database))
        assert await _ready(relay) == "this"
    assert max(len(call) for call in worker_queue.calls) == 10


# Leftovers


async def test_what_others_left_is_sent_oldest_first(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    messages = [_message() for _ in range(25)]
    await _insert(database, messages[:20])
    await _insert(database, messages[20:], "one that died")
    await _expire_claims(database)
    async with _relay(database, worker_queue, batch_size=10):
        await worker_queue.wait_for("pack", 25)
        await eventually(lambda: _is_empty(database))
    assert worker_queue.messages == messages


async def test_rows_of_another_process_are_found_without_a_word(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with _relay(database, worker_queue) as relay:
        await _ready(relay)
        await _insert(database, [_message()])
        await worker_queue.wait_for("pack")


async def test_what_another_relay_has_claimed_is_left_to_it(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    theirs, ours = _message(), _message()
    await _insert(database, [theirs], "another")
    await _insert(database, [ours])
    async with _relay(database, worker_queue) as relay:
        await worker_queue.wait_for("pack")
        await _ready(relay)
    assert worker_queue.messages == [ours]
    assert await _left(database) == [theirs.id]


async def test_several_relays_share_the_work_without_a_repeat(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    await _insert(database, [_message() for _ in range(300)])
    async with (
        _relay(database, worker_queue, instance="a", batch_size=20),
        _relay(database, worker_queue, instance="b", batch_size=20),
        _relay(database, worker_queue, instance="c", batch_size=20),
    ):
        await worker_queue.wait_for("pack", 300)
        await eventually(lambda: _is_empty(database))
    assert sum(len(call) for call in worker_queue.calls) == 300


async def test_a_message_waits_for_an_earlier_one_with_its_key(database: Database) -> None:
    mine = OutboxClaims(database, "shop", "me", 2)
    theirs = OutboxClaims(database, "shop", "they", 2)
    first, second, third = _message(job_key="k"), _message(job_key="k"), _message(job_key="other")
    await _insert(database, [first], "they")
    await _insert(database, [second, third])
    assert await mine.claim() == [third]
    await theirs.release([first.id])
    assert await mine.claim() == [first, second]


async def test_only_one_relay_claims_at_a_time(database: Database) -> None:
    await _insert(database, [_message()])
    claims = OutboxClaims(database, "shop", "me", 10)
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext('kongflow.outbox'), hashtext('shop'))"
        )
        assert await claims.claim() is None
    claimed = await claims.claim()
    assert claimed is not None
    assert len(claimed) == 1


# When the worker queue does not take them


async def test_an_unreachable_worker_queue_delays_and_loses_nothing(
    database: Database, worker_queue: RecordingWorkerQueue, caplog: pytest.LogCaptureFixture
) -> None:
    worker_queue.fail_with(DependencyUnavailable("workerqueue"))
    async with _relay(database, worker_queue) as relay:
        messages = [_message() for _ in range(3)]
        await _insert(database, messages)
        relay.wake()
        await eventually(lambda: len(worker_queue.calls) >= 4)
        assert relay.claimed_by_for_new_rows() is None

        async def released() -> bool:
            rows = await database.pool.execute("SELECT claimed_by FROM shop.outbox")
            return rows == [(None,)] * 3

        await eventually(released)
        worker_queue.recover()
        await worker_queue.wait_for("pack", 3)
        await eventually(lambda: _is_empty(database))
        assert await _ready(relay) == "this"
    assert worker_queue.messages == messages
    assert sum("cannot be reached" in record.message for record in caplog.records) == 1


async def test_offered_messages_outlive_an_outage(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with _relay(database, worker_queue) as relay:
        claimed_by = await _ready(relay)
        worker_queue.fail_with(DependencyUnavailable("workerqueue"), times=5)
        messages = [_message() for _ in range(10)]
        for message in messages:
            await _insert(database, [message], claimed_by)
            relay.committed([message], claimed_by)
        await worker_queue.wait_for("pack", 10)
        await eventually(lambda: _is_empty(database))
    assert sorted(message.id for message in worker_queue.messages) == [m.id for m in messages]


async def test_a_lost_answer_means_sent_again_and_recognised(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    worker_queue.fail_with(DependencyUnavailable("workerqueue"), times=1, after_taking=True)
    message = _message()
    await _insert(database, [message])
    async with _relay(database, worker_queue):
        await eventually(lambda: _is_empty(database))
    assert [message.id for call in worker_queue.calls for message in call] == [message.id] * 2
    assert worker_queue.messages == [message]


async def test_a_refused_message_is_parked_and_blocks_nobody(
    database: Database, worker_queue: RecordingWorkerQueue, caplog: pytest.LogCaptureFixture
) -> None:
    worker_queue.refuse("bad", Refusal("INVALID_ARGUMENT", "NO_SUCH_QUEUE", "no such queue"))
    bad, good = _message("bad", job_key="k"), _message("good", job_key="k")
    await _insert(database, [bad, good])
    async with _relay(database, worker_queue):
        await worker_queue.wait_for("good")
        later = _message("good", job_key="k")
        await _insert(database, [later])
        await worker_queue.wait_for("good", 2)

        async def only_the_bad_one() -> bool:
            return await _left(database) == [bad.id]

        await eventually(only_the_bad_one)
    parked = await database.pool.execute("SELECT refused, claimed_until FROM shop.outbox")
    assert parked[0][0]["reason"] == "NO_SUCH_QUEUE"
    assert parked[0][1] is None
    assert "refused a message" in caplog.text
    assert [m.kind for call in worker_queue.calls for m in call].count("bad") == 1


async def test_a_message_that_breaks_its_call_is_found_and_blocks_nobody(
    database: Database, worker_queue: RecordingWorkerQueue, caplog: pytest.LogCaptureFixture
) -> None:
    worker_queue.poison("broken", ValueError("cannot be encoded"))
    messages = [_message() for _ in range(20)]
    broken = _message("broken")
    await _insert(database, [*messages[:13], broken, *messages[13:]])
    async with _relay(database, worker_queue):
        await worker_queue.wait_for("pack", 20)

        async def only_the_broken_one() -> bool:
            return await _left(database) == [broken.id]

        await eventually(only_the_broken_one)
    assert "could not be sent" in caplog.text
    deferred = await database.pool.execute(
        "SELECT claimed_until > clock_timestamp() + interval '20 seconds' FROM shop.outbox"
    )
    assert deferred == [(True,)]


# When a process ends


async def test_closing_sends_what_was_offered_and_deletes_it(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    messages = [_message() for _ in range(30)]
    async with _relay(database, worker_queue, batch_size=10) as relay:
        claimed_by = await _ready(relay)
        await _insert(database, messages, claimed_by)
        relay.committed(messages, claimed_by)
    assert worker_queue.messages == messages
    assert await _left(database) == []
    assert relay.claimed_by_for_new_rows() is None


async def test_closing_while_the_worker_queue_is_away_gives_claims_back(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    message = _message()
    async with _relay(database, worker_queue) as relay:
        claimed_by = await _ready(relay)
        worker_queue.fail_with(DependencyUnavailable("workerqueue"))
        await _insert(database, [message], claimed_by)
        relay.committed([message], claimed_by)
        await eventually(lambda: bool(worker_queue.calls))
    assert await database.pool.execute("SELECT id, claimed_by FROM shop.outbox") == [
        (message.id, None)
    ]


KILLED = """
    import asyncio, os, signal, sys
    from kongflow_common.db.engine import Database
    from kongflow_common.outbox.relay import OutboxRelay

    class Killer:
        async def enqueue(self, messages):
            # The worker queue has them; this process never comes to know.
            sys.stdout.write(" ".join(str(message.id) for message in messages))
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        async with Database.connect(sys.argv[1], pool_size=2, application_name="x") as database:
            async with OutboxRelay(database, "shop", Killer(), instance="the-name"):
                await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_a_process_killed_between_sending_and_deleting_sends_again(
    database: Database, database_url: str, worker_queue: RecordingWorkerQueue, tmp_path: Path
) -> None:
    messages = [_message() for _ in range(3)]
    await _insert(database, messages)
    program = tmp_path / "killed.py"
    program.write_text(dedent(KILLED))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), database_url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL
    assert output.decode().split() == [str(message.id) for message in messages]
    assert await _left(database) == [message.id for message in messages]
    # Its claims hold: nobody else sends them before they run out, or before it is back.
    assert await OutboxClaims(database, "shop", "somebody", 10).claim() == []
    async with _relay(database, worker_queue, instance="the-name"):
        await worker_queue.wait_for("pack", 3)
        await eventually(lambda: _is_empty(database))
    assert worker_queue.messages == messages


async def test_a_restart_of_postgresql_is_survived(
    database: Database,
    worker_queue: RecordingWorkerQueue,
    postgres_server: RunningServer[PostgresServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _relay(database, worker_queue) as relay:
        claimed_by = await _ready(relay)
        messages = [_message() for _ in range(5)]
        await _insert(database, messages, claimed_by)
        postgres_server.kill()
        try:
            # Committed before the crash: sent during the outage, deleted after it.
            relay.committed(messages, claimed_by)
            await worker_queue.wait_for("pack", 5)
            relay.wake()
            await eventually(lambda: relay._claim_failures > 1)
        finally:
            postgres_server.start()
        await eventually(lambda: _is_empty(database))
        claimed_by = await _ready(relay)
        after = _message("after")
        await _insert(database, [after], claimed_by)
        relay.committed([after], claimed_by)
        await worker_queue.wait_for("after")
    assert len(worker_queue.messages) == 6
    assert await _left(database) == []
    assert "background task" not in caplog.text


async def test_a_relay_that_breaks_starts_again(
    database: Database, worker_queue: RecordingWorkerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = 0

    async def claim(_self: OutboxClaims) -> list[OutboxMessage]:
        nonlocal broken
        broken += 1
        monkeypatch.undo()
        raise RuntimeError("a bug")

    monkeypatch.setattr(OutboxClaims, "claim", claim)
    await _insert(database, [_message()])
    async with _relay(database, worker_queue):
        await worker_queue.wait_for("pack")
    assert broken == 1
