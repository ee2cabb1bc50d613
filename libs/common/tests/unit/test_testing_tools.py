"""What this package gives to other tests."""

import asyncio
from datetime import timedelta

import pytest

from kongflow_common.errors import DependencyUnavailable
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.testing import FixedClock, RecordingWorkerQueue, eventually


def _message(kind: str, args: bytes = b"{}") -> OutboxMessage:
    return OutboxMessage.enqueue(kind, args, environment_id=None)


async def test_the_recording_queue_asserts_what_was_enqueued(
    worker_queue: RecordingWorkerQueue,
) -> None:
    message = _message("deliverEvent", b'{"id": "x", "revision": 2}')
    await worker_queue.enqueue([message, OutboxMessage.remove("old", "k", environment_id=None)])
    assert worker_queue.assert_enqueued("deliverEvent", id="x") is message
    assert worker_queue.assert_removed("old", "k").job_key == "k"
    worker_queue.assert_not_enqueued("deliverEvent", id="y")
    with pytest.raises(AssertionError, match="revision"):
        worker_queue.assert_enqueued("deliverEvent", id="y")
    with pytest.raises(AssertionError):
        worker_queue.assert_enqueued("old")
    with pytest.raises(AssertionError):
        worker_queue.assert_not_enqueued("deliverEvent")
    with pytest.raises(AssertionError):
        worker_queue.assert_removed("old", "another")
    with pytest.raises(AssertionError, match="1 of 2"):
        await worker_queue.wait_for("deliverEvent", 2, deadline=0.01)


async def test_the_recording_queue_fails_when_told_and_recognises_a_repeat(
    worker_queue: RecordingWorkerQueue,
) -> None:
    message = _message("pack")
    worker_queue.fail_with(DependencyUnavailable("workerqueue"), times=2)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable):
            await worker_queue.enqueue([message])
    assert not worker_queue.messages
    first = await worker_queue.enqueue([message])
    assert await worker_queue.enqueue([message]) == first
    assert worker_queue.messages == [message]
    assert len(worker_queue.calls) == 4


async def test_eventually_waits_and_answers() -> None:
    answers = iter([0, None, 7])
    assert await eventually(lambda: next(answers)) == 7
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, done.set)

    async def is_done() -> bool:
        return done.is_set()

    assert await eventually(is_done) is True


async def test_eventually_gives_up_and_says_what_it_saw() -> None:
    with pytest.raises(AssertionError, match="the last answer was ''"):
        await eventually(lambda: "", deadline=0.01)

    def fail() -> bool:
        raise AssertionError("still wrong")

    with pytest.raises(AssertionError, match="still wrong"):
        await eventually(fail, deadline=0.01)


def test_the_clock_stands_still(fixed_clock: FixedClock) -> None:
    before = fixed_clock.now()
    assert fixed_clock.now() == before
    assert fixed_clock.advance(timedelta(seconds=3)) == before + timedelta(seconds=3)
    assert before.tzinfo is not None
