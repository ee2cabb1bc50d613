"""The relay while the worker queue, the database or its own process fails."""

import asyncio
import signal
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.outbox.claims import OutboxClaims
from kongflow_common.outbox.enqueuer import Refusal
from kongflow_common.outbox.message import (
    OutboxMessage,
)
from kongflow_common.testing import RecordingWorkerQueue, eventually
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer
from libs.common.tests.integration.outbox.shop import (
    a_message,
    a_relay,
    insert,
    is_empty,
    left,
    ready,
)

# When the worker queue does not take them


async def test_an_unreachable_worker_queue_delays_and_loses_nothing(
    database: Database, worker_queue: RecordingWorkerQueue, caplog: pytest.LogCaptureFixture
) -> None:
    worker_queue.fail_with(DependencyUnavailable("workerqueue"))
    async with a_relay(database, worker_queue) as relay:
        messages = [a_message() for _ in range(3)]
        await insert(database, messages)
        relay.wake()
        await eventually(lambda: len(worker_queue.calls) >= 4)
        assert relay.claimed_by_for_new_rows() is None

        async def released() -> bool:
            rows = await database.pool.execute("SELECT claimed_by FROM shop.outbox")
            return rows == [(None,)] * 3

        await eventually(released)
        worker_queue.recover()
        await worker_queue.wait_for("pack", 3)
        await eventually(lambda: is_empty(database))
        assert await ready(relay) == "this"
    assert worker_queue.messages == messages
    assert sum("cannot be reached" in record.message for record in caplog.records) == 1


async def test_offered_messages_outlive_an_outage(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    async with a_relay(database, worker_queue) as relay:
        claimed_by = await ready(relay)
        worker_queue.fail_with(DependencyUnavailable("workerqueue"), times=5)
        messages = [a_message() for _ in range(10)]
        for message in messages:
            await insert(database, [message], claimed_by)
            relay.committed([message], claimed_by)
        await worker_queue.wait_for("pack", 10)
        await eventually(lambda: is_empty(database))
    assert sorted(message.id for message in worker_queue.messages) == [m.id for m in messages]


async def test_a_lost_answer_means_sent_again_and_recognised(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    worker_queue.fail_with(DependencyUnavailable("workerqueue"), times=1, after_taking=True)
    message = a_message()
    await insert(database, [message])
    async with a_relay(database, worker_queue):
        await eventually(lambda: is_empty(database))
    assert [message.id for call in worker_queue.calls for message in call] == [message.id] * 2
    assert worker_queue.messages == [message]


async def test_a_refused_message_is_parked_and_blocks_nobody(
    database: Database, worker_queue: RecordingWorkerQueue, caplog: pytest.LogCaptureFixture
) -> None:
    worker_queue.refuse("bad", Refusal("INVALID_ARGUMENT", "NO_SUCH_QUEUE", "no such queue"))
    bad, good = a_message("bad", job_key="k"), a_message("good", job_key="k")
    await insert(database, [bad, good])
    async with a_relay(database, worker_queue):
        await worker_queue.wait_for("good")
        later = a_message("good", job_key="k")
        await insert(database, [later])
        await worker_queue.wait_for("good", 2)

        async def only_the_bad_one() -> bool:
            return await left(database) == [bad.id]

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
    messages = [a_message() for _ in range(20)]
    broken = a_message("broken")
    await insert(database, [*messages[:13], broken, *messages[13:]])
    async with a_relay(database, worker_queue):
        await worker_queue.wait_for("pack", 20)

        async def only_the_broken_one() -> bool:
            return await left(database) == [broken.id]

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
    messages = [a_message() for _ in range(30)]
    async with a_relay(database, worker_queue, batch_size=10) as relay:
        claimed_by = await ready(relay)
        await insert(database, messages, claimed_by)
        relay.committed(messages, claimed_by)
    assert worker_queue.messages == messages
    assert await left(database) == []
    assert relay.claimed_by_for_new_rows() is None


async def test_closing_while_the_worker_queue_is_away_gives_claims_back(
    database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    message = a_message()
    async with a_relay(database, worker_queue) as relay:
        claimed_by = await ready(relay)
        worker_queue.fail_with(DependencyUnavailable("workerqueue"))
        await insert(database, [message], claimed_by)
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
    messages = [a_message() for _ in range(3)]
    await insert(database, messages)
    program = tmp_path / "killed.py"
    program.write_text(dedent(KILLED))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), database_url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL
    assert output.decode().split() == [str(message.id) for message in messages]
    assert await left(database) == [message.id for message in messages]
    # Its claims hold: nobody else sends them before they run out, or before it is back.
    assert await OutboxClaims(database, "shop", "somebody", 10).claim() == []
    async with a_relay(database, worker_queue, instance="the-name"):
        await worker_queue.wait_for("pack", 3)
        await eventually(lambda: is_empty(database))
    assert worker_queue.messages == messages


async def test_a_restart_of_postgresql_is_survived(
    database: Database,
    worker_queue: RecordingWorkerQueue,
    postgres_server: RunningServer[PostgresServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_relay(database, worker_queue) as relay:
        claimed_by = await ready(relay)
        messages = [a_message() for _ in range(5)]
        await insert(database, messages, claimed_by)
        postgres_server.kill()
        try:
            # Committed before the crash: sent during the outage, deleted after it.
            relay.committed(messages, claimed_by)
            await worker_queue.wait_for("pack", 5)
            relay.wake()
            await eventually(lambda: relay._claim_failures > 1)
        finally:
            postgres_server.start()
        await eventually(lambda: is_empty(database))
        claimed_by = await ready(relay)
        after = a_message("after")
        await insert(database, [after], claimed_by)
        relay.committed([after], claimed_by)
        await worker_queue.wait_for("after")
    assert len(worker_queue.messages) == 6
    assert await left(database) == []
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
    await insert(database, [a_message()])
    async with a_relay(database, worker_queue):
        await worker_queue.wait_for("pack")
    assert broken == 1
