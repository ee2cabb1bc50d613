"""Background loops."""

import asyncio
import contextvars

import pytest

from kongflow_common.supervision import BackgroundTasks, Backoff

QUICK = Backoff(initial=0.001, longest=0.01)


def test_backoff_doubles_up_to_the_longest() -> None:
    backoff = Backoff(initial=0.1, longest=2.0)
    assert [backoff.delay(n) for n in (1, 2, 3, 5, 6, 1000)] == [0.1, 0.2, 0.4, 1.6, 2.0, 2.0]


async def test_a_crashed_loop_is_logged_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0
    third = asyncio.Event()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            third.set()
            await asyncio.Event().wait()
        raise RuntimeError("boom")

    async with BackgroundTasks() as tasks:
        task = tasks.supervise("loop", run, backoff=QUICK)
        async with asyncio.timeout(5):
            await third.wait()
        assert not task.done()
    assert task.cancelled()
    assert sum("boom" in (record.exc_text or "") for record in caplog.records) == 2


async def test_a_cancellation_that_nobody_asked_for_does_not_end_a_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = 0
    again = asyncio.Event()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            again.set()
            await asyncio.Event().wait()
        awaited = asyncio.get_running_loop().create_future()
        awaited.cancel()
        await awaited

    async with BackgroundTasks() as tasks:
        task = tasks.supervise("loop", run, backoff=QUICK)
        async with asyncio.timeout(5):
            await again.wait()
        assert not task.done()
    assert task.cancelled()
    assert any("loop failed" in record.message for record in caplog.records)


async def test_a_loop_that_returns_has_ended() -> None:
    async def run() -> None:
        return

    async with BackgroundTasks() as tasks:
        task = tasks.supervise("loop", run)
        async with asyncio.timeout(5):
            await task


async def test_a_loop_does_not_belong_to_whoever_started_it() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    async def run() -> None:
        seen.append(variable.get())

    variable.set("the caller's")
    async with BackgroundTasks() as tasks:
        await tasks.supervise("loop", run)
    assert seen == ["none"]


async def test_a_loop_that_fails_while_it_is_cancelled_does_not_start_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = asyncio.Event()

    async def run() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot clean up")

    tasks = BackgroundTasks()
    task = tasks.supervise("loop", run, backoff=Backoff(initial=60))
    await started.wait()
    closing = asyncio.create_task(tasks.close())
    async with asyncio.timeout(5):
        await closing
    assert task.done()
    assert "failed while it ended" in caplog.text
    with pytest.raises(RuntimeError):
        _ = tasks.supervise("late", run)


async def test_a_cancellation_that_was_lost_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    forgotten: list[asyncio.CancelledError] = []
    begun = asyncio.Event()

    async def forget_the_first() -> None:
        while True:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                if forgotten:
                    raise
                forgotten.append(error)

    async with asyncio.timeout(5):
        async with BackgroundTasks(deaf_seconds=0.01) as tasks:
            task = tasks.supervise("deaf", forget_the_first)
            await begun.wait()
    assert task.cancelled()
    assert forgotten
    assert "deaf is told again to end" in caplog.text
