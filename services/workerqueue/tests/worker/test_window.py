"""The window in Redis: stock arq reads it, and it is bounded, ordered and expendable."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job, JobStatus
from redis.asyncio import Redis

from kongflow_common.ids import new_id
from kongflow_common.supervision import BackgroundTasks
from kongflow_common.testing.polling import eventually
from kongflow_embedded.temporary import RunningServer, temporary_valkey
from kongflow_embedded.valkey import ValkeyServer
from kongflow_workerqueue.adapters.redis_connection import open_redis
from kongflow_workerqueue.adapters.wake_redis import RedisWakeUps
from kongflow_workerqueue.adapters.window_redis import RedisWindow
from kongflow_workerqueue.application.ports import Admitted, WindowState, WindowUnavailable
from kongflow_workerqueue.domain.states import Priority

NOW = datetime.now(UTC)


def admitted(
    priority: Priority = Priority.NORMAL,
    *,
    turn: int = 1,
    job_id: UUID | None = None,
    late: timedelta = timedelta(),
    admitted_at: datetime | None = None,
) -> Admitted:
    return Admitted(job_id or new_id(), turn, priority, NOW - late, admitted_at)


@pytest.fixture
async def window(redis: ArqRedis) -> AsyncIterator[RedisWindow]:
    async with BackgroundTasks() as probes:
        yield RedisWindow(redis, probes)


async def test_stock_arq_reads_what_is_in_the_window(window: RedisWindow, valkey_url: str) -> None:
    entry = admitted(turn=3)
    await window.push("events", [entry], cap=10)
    stock = await create_pool(RedisSettings.from_dsn(valkey_url), job_deserializer=orjson.loads)
    try:
        [listed] = await stock.queued_jobs(queue_name="arq:queue:events")
        assert listed.function == "queued_job"
        assert list(listed.args) == [str(entry.id), 3]
        assert listed.job_id == f"{entry.id}:3"
        job = Job(f"{entry.id}:3", stock, "arq:queue:events", orjson.loads)
        info = await job.info()
        assert info is not None
        assert info.enqueue_time is not None
        assert info.score is not None
        assert await job.status() is JobStatus.queued
        await window.pop("events", 10)
        assert await job.status() is JobStatus.not_found
    finally:
        await stock.aclose()


async def test_nothing_is_left_behind_by_a_pop(window: RedisWindow, redis: ArqRedis) -> None:
    await window.push("events", [admitted() for _ in range(50)], cap=100)
    popped = await window.pop("events", 30)
    assert len(popped.entries) == 30
    assert popped.remaining == 20
    assert (await window.pop("events", 100)).remaining == 0
    assert await redis.keys("arq:*") == []
    assert (await window.pop("events", 100)).entries == ()


async def test_first_by_priority_then_by_age_and_low_ones_age(window: RedisWindow) -> None:
    low = admitted(Priority.VERY_LOW)
    normal = admitted(Priority.NORMAL)
    older = admitted(Priority.NORMAL, late=timedelta(seconds=5))
    high = admitted(Priority.HIGH)
    aged = admitted(Priority.VERY_LOW, late=timedelta(minutes=10))
    await window.push("events", [low, normal, older, high, aged], cap=10)
    popped = await window.pop("events", 10)
    assert [entry[0] for entry in popped.entries] == [
        each.id for each in (aged, high, older, normal, low)
    ]


async def test_what_was_due_earlier_does_not_pass_by_what_was_admitted_earlier(
    window: RedisWindow,
) -> None:
    single = admitted(admitted_at=NOW)
    long_due = timedelta(hours=1)
    pile = [admitted(late=long_due, admitted_at=NOW + timedelta(seconds=31)) for _ in range(3)]
    await window.push("events", [single], cap=10)
    await window.push("events", pile, cap=10)
    popped = await window.pop("events", 10)
    # Those of one push stay in its order.
    assert [entry[0] for entry in popped.entries] == [each.id for each in (single, *pile)]


async def test_the_window_is_bounded_and_tells_how_many_it_took(window: RedisWindow) -> None:
    entries = [admitted() for _ in range(8)]
    first = await window.push("events", entries[:3], cap=5)
    assert (first.accepted, first.state.length) == (3, 3)
    # What is in it already counts as taken, wherever it stands among the others.
    second = await window.push("events", [entries[0], *entries[3:]], cap=5)
    assert (second.accepted, second.state.length) == (3, 5)
    assert (await window.look("events")).length == 5


async def test_what_waits_outside_is_told_until_the_mark_is_taken_away(
    window: RedisWindow, redis: ArqRedis
) -> None:
    entry = admitted()
    assert await window.look("events") == WindowState(0, backlog=False)
    await window.mark_backlog("events", exists=True)
    await window.mark_backlog("events", exists=True)
    assert await window.look("events") == WindowState(0, backlog=True)
    assert (await window.pop("events", 1)).backlog
    # Of another queue it says nothing.
    assert not (await window.look("execution")).backlog
    pushed = await window.push("events", [entry], cap=5)
    assert (pushed.accepted, pushed.state) == (1, WindowState(1, backlog=True))
    assert (await window.pop("events", 1)).backlog
    await window.mark_backlog("events", exists=False)
    assert not (await window.pop("events", 1)).backlog
    assert await redis.keys() == []


async def test_a_new_mark_wakes_who_listens(window: RedisWindow, redis: ArqRedis) -> None:
    woken: list[str] = []
    listener = RedisWakeUps(redis, ["events"], lambda queue, _: woken.append(queue))
    async with BackgroundTasks() as tasks:
        _ = tasks.supervise("listener", listener.run)
        await eventually(lambda: woken == ["events"])
        await window.mark_backlog("events", exists=True)
        # Known ones are no news, and neither is their end.
        await window.mark_backlog("events", exists=True)
        await window.mark_backlog("events", exists=False)
        await window.mark_backlog("events", exists=True)
        await eventually(lambda: len(woken) == 3)


async def test_a_push_wakes_who_listens(window: RedisWindow, redis: ArqRedis) -> None:
    woken: list[tuple[str, int]] = []
    listener = RedisWakeUps(redis, ["events"], lambda queue, count: woken.append((queue, count)))
    async with BackgroundTasks() as tasks:
        _ = tasks.supervise("listener", listener.run)
        # One when the listener is there: what was pushed before it has not heard.
        await eventually(lambda: woken == [("events", 1)])
        await window.push("events", [admitted(), admitted()], cap=10)
        await window.push("execution", [admitted()], cap=10)
        await eventually(lambda: woken == [("events", 1), ("events", 2)])


async def test_a_listener_comes_back_with_redis() -> None:
    with temporary_valkey() as valkey:
        redis = open_redis(valkey.server.url())
        woken: list[str] = []
        listener = RedisWakeUps(redis, ["events"], lambda queue, _: woken.append(queue))
        async with BackgroundTasks() as tasks:
            _ = tasks.supervise("listener", listener.run)
            await eventually(lambda: woken)
            valkey.kill()
            woken.clear()
            valkey.start()
            await eventually(lambda: woken)
        await redis.aclose()


async def test_what_is_no_queued_job_is_dropped_and_told(
    window: RedisWindow, redis: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.enqueue_job("some_function", _queue_name="arq:queue:events")
    entry = admitted()
    await window.push("events", [entry], cap=10)
    with caplog.at_level(logging.WARNING):
        popped = await window.pop("events", 10)
    assert popped.entries == ((entry.id, 1),)
    assert "no queued job" in caplog.text


class TestTrouble:
    """Each test has a Valkey of its own to be hard on."""

    @pytest.fixture
    async def trouble(
        self,
    ) -> AsyncIterator[tuple[RunningServer[ValkeyServer], RedisWindow, list[bool]]]:
        with temporary_valkey() as valkey:
            redis = open_redis(valkey.server.url())
            changes: list[bool] = []
            async with BackgroundTasks() as probes:
                yield valkey, RedisWindow(redis, probes, on_change=changes.append), changes
            await redis.aclose()

    async def test_away_fails_at_once_and_is_noticed_when_back(
        self, trouble: tuple[RunningServer[ValkeyServer], RedisWindow, list[bool]]
    ) -> None:
        valkey, window, changes = trouble
        await window.push("events", [admitted()], cap=10)
        valkey.kill()
        with pytest.raises(WindowUnavailable):
            await window.push("events", [admitted()], cap=10)
        with pytest.raises(WindowUnavailable, match="does not answer"):
            await window.pop("events", 1)
        assert not window.is_up
        valkey.start()
        await eventually(lambda: window.is_up)
        assert changes == [True, False, True]
        # The append-only file kept it.
        assert len((await window.pop("events", 10)).entries) == 1

    async def test_full_refuses_a_push_and_still_gives(
        self, trouble: tuple[RunningServer[ValkeyServer], RedisWindow, list[bool]]
    ) -> None:
        valkey, window, changes = trouble
        entry = admitted()
        await window.push("events", [entry], cap=10)
        admin = Redis.from_url(valkey.server.url())
        try:
            await admin.config_set("maxmemory", "1")
            with pytest.raises(WindowUnavailable, match="refuses a push"):
                await window.push("events", [admitted()], cap=10)
            assert not window.is_up
            assert (await window.pop("events", 10)).entries == ((entry.id, 1),)
            assert not window.is_up
            await admin.config_set("maxmemory", "0")
            await window.push("events", [admitted()], cap=10)
            assert changes == [True, False, True]
        finally:
            await admin.aclose()

    async def test_a_read_only_replica_refuses_both(
        self, trouble: tuple[RunningServer[ValkeyServer], RedisWindow, list[bool]]
    ) -> None:
        valkey, window, _ = trouble
        admin = Redis.from_url(valkey.server.url())
        try:
            # Nobody is there to follow; a replica it is all the same.
            await admin.execute_command("REPLICAOF", "127.0.0.1", "1")
            with pytest.raises(WindowUnavailable):
                await window.push("events", [admitted()], cap=10)
            with pytest.raises(WindowUnavailable):
                await window.pop("events", 10)
            await admin.execute_command("REPLICAOF", "NO", "ONE")
            await eventually(lambda: _push_works(window))
            await eventually(lambda: _pop_works(window))
            assert window.is_up
        finally:
            await admin.aclose()


async def _push_works(window: RedisWindow) -> bool:
    try:
        await window.push("events", [admitted()], cap=10)
    except WindowUnavailable:
        return False
    return True


async def _pop_works(window: RedisWindow) -> bool:
    try:
        await window.pop("events", 10)
    except WindowUnavailable:
        return False
    return True
