"""Redis, PostgreSQL and workers come and go: nothing is lost, nothing old takes effect."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from redis.asyncio import Redis

from kongflow_common.db.migrate import upgrade
from kongflow_common.testing.polling import eventually
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer, temporary_postgres, temporary_valkey
from kongflow_embedded.valkey import ValkeyServer
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.domain.states import Priority
from services.workerqueue.tests.worker.conftest import MIGRATIONS
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    queue_under_test,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Gate, TasksServer
from services.workerqueue.tests.worker.worker_process import worker_process

pytestmark = [pytest.mark.faults]


@pytest.fixture
def valkey() -> Iterator[RunningServer[ValkeyServer]]:
    with temporary_valkey() as valkey:
        yield valkey


@pytest.fixture
async def shaky(
    ledger_url: str, valkey: RunningServer[ValkeyServer]
) -> AsyncIterator[QueueUnderTest]:
    """A queue whose Redis may be treated badly."""
    async with queue_under_test(ledger_url, valkey.server.url()) as queue:
        yield queue


async def _enqueue_and_run(queue: QueueUnderTest, target: TasksServer, total: int) -> None:
    """Enqueues ten jobs, one by one, and waits until they have run."""
    for _ in range(10):
        await queue.enqueue([deliver_event()])
    await eventually(lambda: queue.all_completed(total), deadline=30)
    assert len(target.ids()) == len(set(target.ids())) == total


class TestRedis:
    async def test_killed_and_back(
        self,
        shaky: QueueUnderTest,
        target: TasksServer,
        valkey: RunningServer[ValkeyServer],
    ) -> None:
        async with running(shaky.settings({"events": target.address})):
            await _enqueue_and_run(shaky, target, 10)
            valkey.kill()
            await _enqueue_and_run(shaky, target, 20)
            # And while nobody says a word about it: by polling.
            await shaky.ledger.insert([deliver_event()])
            await eventually(lambda: shaky.all_completed(21))
            valkey.start()
            await eventually(lambda: shaky.window.is_up)
            target.received = target.received[:20]
            await _enqueue_and_run_again(shaky, 31)

    async def test_away_from_the_start(
        self,
        shaky: QueueUnderTest,
        target: TasksServer,
        valkey: RunningServer[ValkeyServer],
    ) -> None:
        valkey.kill()
        async with running(shaky.settings({"events": target.address})):
            await _enqueue_and_run(shaky, target, 10)
            valkey.start()
            await eventually(lambda: shaky.window.is_up)
            await _enqueue_and_run(shaky, target, 20)

    async def test_away_the_ledger_is_polled_at_a_pace(
        self,
        shaky: QueueUnderTest,
        target: TasksServer,
        valkey: RunningServer[ValkeyServer],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        looks: list[float] = []
        claim_available = PostgresWorkerLedger.claim_available

        async def noted(
            ledger: PostgresWorkerLedger, worker_id: UUID, queue: str, limit: int
        ) -> list[ClaimedJob]:
            looks.append(time.monotonic())
            return await claim_available(ledger, worker_id, queue, limit)

        monkeypatch.setattr(PostgresWorkerLedger, "claim_available", noted)
        valkey.kill()
        settings = shaky.settings({"events": target.address}, worker_slots={"events": 2})
        async with running(settings):
            await eventually(lambda: len(looks) > 10)
            # Not even if it knows of a backlog when it goes away.
            valkey.start()
            await eventually(lambda: shaky.window.is_up)
            gate = Gate()
            target.on_call = gate
            await shaky.enqueue([deliver_event() for _ in range(3)])
            await eventually(lambda: target.calls > 0)
            await shaky.window.mark_backlog("events", exists=True)
            valkey.kill()
            gate.open()
            await eventually(lambda: shaky.all_completed(3))
            at = len(looks)
            await eventually(lambda: len(looks) > at + 10)
        assert looks[10] - looks[0] > 0.5
        assert looks[at + 10] - looks[at] > 0.5

    @pytest.mark.parametrize("trouble", ["away", "full"])
    async def test_priorities_count_without_it(
        self,
        shaky: QueueUnderTest,
        target: TasksServer,
        valkey: RunningServer[ValkeyServer],
        trouble: str,
    ) -> None:
        if trouble == "away":
            valkey.kill()
        else:
            redis = Redis.from_url(shaky.redis_url)
            await redis.config_set("maxmemory", "1")
            await redis.aclose()
        low = [deliver_event(priority=Priority.VERY_LOW) for _ in range(50)]
        for job in low:
            await shaky.enqueue([job])
        high = deliver_event(priority=Priority.HIGH)
        await shaky.enqueue([high])
        settings = shaky.settings({"events": target.address}, worker_slots={"events": 1})
        async with running(settings):
            await eventually(lambda: shaky.all_completed(51), deadline=30)
        # Behind those that were admitted before it was noticed, or to try.
        assert target.ids().index(str(high.id)) < 5

    async def test_stopped_in_its_tracks(
        self,
        shaky: QueueUnderTest,
        target: TasksServer,
        valkey: RunningServer[ValkeyServer],
    ) -> None:
        process = psutil.Process(valkey.pid)
        async with running(shaky.settings({"events": target.address})):
            await _enqueue_and_run(shaky, target, 10)
            process.suspend()
            try:
                await _enqueue_and_run(shaky, target, 20)
            finally:
                process.resume()
            await eventually(lambda: shaky.window.is_up)
            await _enqueue_and_run(shaky, target, 30)

    async def test_emptied_with_jobs_in_the_window(
        self, shaky: QueueUnderTest, target: TasksServer
    ) -> None:
        await shaky.enqueue([deliver_event() for _ in range(300)])
        assert (await shaky.window.look("events")).length > 0
        redis = Redis.from_url(shaky.redis_url)
        await redis.flushall()
        await redis.aclose()
        async with running(shaky.settings({"events": target.address})):
            await eventually(lambda: shaky.all_completed(300), deadline=30)
        assert len(target.ids()) == len(set(target.ids())) == 300

    async def test_what_is_due_later_never_stands_in_it(
        self, shaky: QueueUnderTest, target: TasksServer
    ) -> None:
        """Long delays live in PostgreSQL only: Redis may lose whatever it likes meanwhile."""
        later = [deliver_event(run_at=datetime.now(UTC) + timedelta(days=30)) for _ in range(50)]

        async def is_empty() -> bool:
            return not (await redis.keys("arq:job:*") or await redis.exists("arq:queue:events"))

        async with Redis.from_url(shaky.redis_url) as redis:
            await redis.flushall()
            async with running(shaky.settings({"events": target.address})):
                await shaky.enqueue(later)
                await _enqueue_and_run_beside(shaky, 10)
                # An entry may outlive its job for a moment, one that is due later for a month.
                await eventually(is_empty)
        assert await shaky.states() == {"scheduled": 50, "completed": 10}

    async def test_full(self, shaky: QueueUnderTest, target: TasksServer) -> None:
        redis = Redis.from_url(shaky.redis_url)
        async with running(shaky.settings({"events": target.address})):
            await _enqueue_and_run(shaky, target, 10)
            await redis.config_set("maxmemory", "1")
            await _enqueue_and_run(shaky, target, 20)
            await redis.config_set("maxmemory", "0")
            await _enqueue_and_run(shaky, target, 30)
        await redis.aclose()

    async def test_read_only(self, shaky: QueueUnderTest, target: TasksServer) -> None:
        redis = Redis.from_url(shaky.redis_url)
        async with running(shaky.settings({"events": target.address})):
            await _enqueue_and_run(shaky, target, 10)
            await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
            await _enqueue_and_run(shaky, target, 20)
            await redis.execute_command("REPLICAOF", "NO", "ONE")
            await _enqueue_and_run(shaky, target, 30)
        await redis.aclose()


async def _enqueue_and_run_beside(queue: QueueUnderTest, total: int) -> None:
    """The same while other jobs wait for their time."""
    for _ in range(10):
        await queue.enqueue([deliver_event()])

    async def completed() -> bool:
        return (await queue.states()).get("completed") == total

    await eventually(completed, deadline=30)


async def _enqueue_and_run_again(queue: QueueUnderTest, total: int) -> None:
    for _ in range(10):
        await queue.enqueue([deliver_event()])
    await eventually(lambda: queue.all_completed(total), deadline=30)


class TestPostgres:
    @pytest.fixture
    def postgres(self) -> Iterator[RunningServer[PostgresServer]]:
        with temporary_postgres({"fsync": "off"}) as postgres:
            upgrade(postgres.server.url(), MIGRATIONS, "workerqueue")
            yield postgres

    @pytest.fixture
    async def fragile(
        self, postgres: RunningServer[PostgresServer], valkey_url: str
    ) -> AsyncIterator[QueueUnderTest]:
        async with queue_under_test(postgres.server.url(), valkey_url) as queue:
            yield queue

    @pytest.mark.parametrize("how", ["stop", "kill"])
    async def test_restarted_while_calls_run(
        self,
        fragile: QueueUnderTest,
        target: TasksServer,
        postgres: RunningServer[PostgresServer],
        how: str,
    ) -> None:
        gate = Gate()
        target.on_call = gate
        async with running(fragile.settings({"events": target.address})):
            await fragile.enqueue([deliver_event() for _ in range(20)])
            await eventually(gate.entered.is_set)
            postgres.stop() if how == "stop" else postgres.kill()
            # The calls end while nobody can write that down.
            gate.open()
            postgres.start()
            await eventually(lambda: fragile.all_completed(20), deadline=30)
            await fragile.enqueue([deliver_event() for _ in range(20)])
            await eventually(lambda: fragile.all_completed(40), deadline=30)

    async def test_away_from_the_start(
        self,
        fragile: QueueUnderTest,
        target: TasksServer,
        postgres: RunningServer[PostgresServer],
    ) -> None:
        await fragile.enqueue([deliver_event()])
        postgres.stop()
        async with running(fragile.settings({"events": target.address})):
            postgres.start()
            await eventually(lambda: fragile.all_completed(1), deadline=30)

    async def test_a_claim_whose_answer_was_lost_is_handed_back(
        self, fragile: QueueUnderTest, target: TasksServer
    ) -> None:
        job = deliver_event(run_at=datetime.now(UTC) + timedelta(days=1))
        await fragile.ledger.insert([job])
        async with running(fragile.settings({"events": target.address})) as worker:
            await eventually(lambda: worker.lease.is_held)
            # Claimed in the worker's name, and the worker never heard of it.
            await fragile.database.pool.execute(
                "UPDATE workerqueue.queued_jobs SET state = 'running', worker_id = %s",
                [worker.lease.worker_id],
            )
            await eventually(lambda: fragile.all_completed(1), deadline=20)
        assert [each.envelope.fencing_token for each in target.received] == [2]


class TestWorkers:
    async def test_the_jobs_of_a_killed_worker_run_again_within_ten_seconds(
        self, queue: QueueUnderTest, target: TasksServer, tmp_path: Path
    ) -> None:
        gate = Gate()
        target.on_call = gate
        with worker_process(queue, {"events": target.address}, tmp_path / "log") as first:
            await queue.enqueue([deliver_event() for _ in range(3)])
            await eventually(lambda: len(target.received) == 3, deadline=30)
            async with running(queue.settings({"events": target.address})):
                first.process.kill()
                killed_at = time.monotonic()
                gate.open()
                await eventually(lambda: queue.all_completed(3), deadline=30)
                assert time.monotonic() - killed_at < 10
        tokens = [job.envelope.fencing_token for job in target.received]
        assert tokens == [1, 1, 1, 2, 2, 2]
        assert [job.envelope.attempt for job in target.received] == [1] * 6

    async def test_a_worker_that_slept_past_its_lease_changes_nothing(
        self, queue: QueueUnderTest, target: TasksServer, tmp_path: Path
    ) -> None:
        gate = Gate()
        target.on_call = gate
        job = deliver_event()
        with worker_process(queue, {"events": target.address}, tmp_path / "log") as sleeper:
            await queue.enqueue([job])
            await eventually(lambda: len(target.received) == 1, deadline=30)
            sleeper.signal(signal.SIGSTOP)
            # Its call is answered with a refusal for good while it sleeps.
            first_call = target.received[0].call

            async with running(queue.settings({"events": target.address})) as other:
                await eventually(lambda: len(target.received) == 2, deadline=30)
                assert target.received[1].envelope.fencing_token == 2
                row = await queue.row(job.id)
                assert (row["state"], row["turn"]) == ("running", 2)
                assert row["worker_id"] == str(other.lease.worker_id)
                sleeper.signal(signal.SIGCONT)
                await eventually(lambda: sleeper.has_logged("the lease ended"), deadline=20)
                # Awake again, with an answer for turn 1 in its hands.
                row = await queue.row(job.id)
                assert (row["state"], row["turn"]) == ("running", 2)
                gate.open()
                await eventually(lambda: queue.all_completed(1))
            assert first_call == 1
            row = await queue.row(job.id)
            assert (row["attempt"], row["turn"], row["lapses"]) == (1, 2, 1)
            # And it works on, under another lease.
            await queue.enqueue([deliver_event()])
            await eventually(lambda: queue.all_completed(2), deadline=20)

    async def test_an_orderly_end_finishes_what_runs_and_takes_nothing_new(
        self, queue: QueueUnderTest, target: TasksServer, tmp_path: Path
    ) -> None:
        gate = Gate()
        target.on_call = gate
        with worker_process(queue, {"events": target.address}, tmp_path / "log") as worker:
            await queue.enqueue([deliver_event()])
            await eventually(lambda: len(target.received) == 1, deadline=30)
            worker.signal(signal.SIGTERM)
            await eventually(lambda: worker.has_logged("draining"))
            later = deliver_event()
            await queue.enqueue([later])
            gate.open()
            assert await asyncio.to_thread(worker.process.wait, 20) == 0
        assert await queue.states() == {"completed": 1, "available": 1}
        assert (await queue.row(later.id))["turn"] == 1
        assert await _leases(queue) == 0

    async def test_an_orderly_end_hands_back_what_takes_too_long(
        self, queue: QueueUnderTest, target: TasksServer, tmp_path: Path
    ) -> None:
        target.on_call = Gate()
        job = deliver_event()
        with worker_process(
            queue, {"events": target.address}, tmp_path / "log", KONGFLOW_DRAIN_SECONDS="1"
        ) as worker:
            await queue.enqueue([job])
            await eventually(lambda: len(target.received) == 1, deadline=30)
            assert await asyncio.to_thread(worker.end) == 0
        row = await queue.row(job.id)
        assert (row["state"], row["turn"], row["attempt"], row["lapses"]) == ("available", 2, 0, 0)
        assert await _leases(queue) == 0


async def _leases(queue: QueueUnderTest) -> int:
    [(count,)] = await queue.database.pool.execute("SELECT count(*) FROM workerqueue.worker_leases")
    return int(count)
