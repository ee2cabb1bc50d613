"""Group commit. The flush is held where a test wants to see what gathers meanwhile."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from kongflow_common.batcher import Batcher
from kongflow_common.errors import Contended, DependencyUnavailable, ResourceExhausted
from kongflow_common.supervision import Backoff
from kongflow_common.testing import eventually


class Flush:
    """Answers each item with its double; records batches, waits while closed, fails when told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.poison: set[int] = set()
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.poison.intersection(items):
            raise ValueError(f"poison in {list(items)}")
        return [item * 2 for item in items]


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _submit_all(batcher: Batcher[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def test_an_idle_item_leaves_in_the_same_turn() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_wait=60)
    for item in range(3):
        waiting = asyncio.create_task(batcher.submit(item))
        await _turns(3)
        assert flush.batches[-1] == [item]
        assert await waiting == item * 2
    await batcher.close()


async def test_items_of_one_turn_leave_together_and_get_their_own_answers() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test")
    assert await asyncio.gather(*_submit_all(batcher, range(50))) == [n * 2 for n in range(50)]
    assert flush.batches == [list(range(50))]
    await batcher.close()


async def test_many_items_of_one_caller_leave_together_and_each_has_its_own_result() -> None:
    flush = Flush()
    flush.poison = {3}
    batcher = Batcher(flush, name="test")
    results = await batcher.submit_all(range(8))
    assert flush.batches[0] == list(range(8))
    assert [str(each) if isinstance(each, ValueError) else each for each in results] == [
        0, 2, 4, "poison in [3]", 8, 10, 12, 14,
    ]  # fmt: skip
    assert await batcher.submit_all([]) == []
    await batcher.close()


async def test_items_that_find_no_place_have_that_for_a_result() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_pending=3)
    results = await batcher.submit_all(range(5))
    assert results[:3] == [0, 2, 4]
    assert [type(each) for each in results[3:]] == [ResourceExhausted] * 2
    await batcher.close()


async def test_a_caller_of_many_that_is_cancelled_withdraws_what_is_not_being_flushed() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_items=2)
    flush.gate.clear()
    waiting = asyncio.create_task(batcher.submit_all(range(5)))
    await _turns()
    waiting.cancel()
    await asyncio.wait([waiting])
    flush.gate.set()
    assert await batcher.submit(9) == 18
    assert flush.batches == [[0, 1], [9]]
    await batcher.close()


async def test_one_batch_at_a_time_and_never_more_than_max_items() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_items=10, max_wait=0.001)
    flush.gate.clear()
    waiting = _submit_all(batcher, range(25))
    await _turns()
    assert flush.batches == [list(range(10))]
    flush.gate.set()
    await asyncio.gather(*waiting)
    assert [len(batch) for batch in flush.batches] == [10, 10, 5]
    assert [item for batch in flush.batches for item in batch] == list(range(25))
    await batcher.close()


async def test_after_a_large_batch_as_many_are_waited_for() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_wait=60, threshold=4)
    await asyncio.gather(*_submit_all(batcher, range(4)))
    waiting = _submit_all(batcher, [10, 11, 12])
    await _turns()
    assert len(flush.batches) == 1
    waiting += _submit_all(batcher, [13])
    await asyncio.gather(*waiting)
    assert flush.batches[1:] == [[10, 11, 12, 13]]
    await batcher.close()


async def test_the_wait_under_load_ends_after_max_wait() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_wait=0.05, threshold=4)
    await asyncio.gather(*_submit_all(batcher, range(4)))
    began = time.monotonic()
    assert await batcher.submit(7) == 14
    assert 0.03 < time.monotonic() - began < 5
    await batcher.close()


async def test_after_a_small_batch_nobody_waits() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_wait=60, threshold=4)
    await asyncio.gather(*_submit_all(batcher, range(3)))
    async with asyncio.timeout(5):
        assert await batcher.submit(7) == 14
    await batcher.close()


async def test_one_bad_item_fails_alone() -> None:
    flush = Flush()
    flush.poison = {5, 11}
    batcher = Batcher(flush, name="test")
    answers = await asyncio.gather(*_submit_all(batcher, range(16)), return_exceptions=True)
    for item, answer in enumerate(answers):
        if item in flush.poison:
            assert isinstance(answer, ValueError)
        else:
            assert answer == item * 2
    await batcher.close()


async def test_a_result_may_be_an_error() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int | Exception]:
        return [KeyError(item) if item == 1 else item for item in items]

    batcher = Batcher(flush, name="test")
    answers = await asyncio.gather(*_submit_all(batcher, range(3)), return_exceptions=True)
    assert answers[0] == 0
    assert isinstance(answers[1], KeyError)
    assert answers[2] == 2
    await batcher.close()


async def test_an_unavailable_dependency_fails_all_and_is_asked_once() -> None:
    flush = Flush()
    flush.failures = [DependencyUnavailable("postgresql")]
    batcher = Batcher(flush, name="test", max_wait=0.001)
    answers = await asyncio.gather(*_submit_all(batcher, range(8)), return_exceptions=True)
    assert all(isinstance(answer, DependencyUnavailable) for answer in answers)
    assert len(flush.batches) == 1
    assert await batcher.submit(1) == 2
    await batcher.close()


async def test_contention_is_tried_again_as_a_whole() -> None:
    flush = Flush()
    flush.failures = [Contended(), Contended()]
    batcher = Batcher(flush, name="test")
    assert await asyncio.gather(*_submit_all(batcher, range(4))) == [0, 2, 4, 6]
    assert flush.batches == [[0, 1, 2, 3]] * 3
    flush.failures = [Contended(), Contended(), Contended()]
    with pytest.raises(Contended):
        await batcher.submit(1)
    await batcher.close()


async def test_a_wrong_number_of_results_fails_all_without_a_second_flush() -> None:
    calls = 0

    async def flush(items: Sequence[int]) -> Sequence[int | Exception]:
        nonlocal calls
        calls += 1
        return items[1:]

    batcher = Batcher(flush, name="test")
    answers = await asyncio.gather(*_submit_all(batcher, range(4)), return_exceptions=True)
    assert all(isinstance(answer, RuntimeError) for answer in answers)
    assert calls == 1
    await batcher.close()


async def test_a_cancelled_caller_withdraws_its_item_and_harms_nobody() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", max_wait=0.001)
    flush.gate.clear()
    first = asyncio.create_task(batcher.submit(1))
    await _turns()
    second, third = _submit_all(batcher, [2, 3])
    await _turns()
    first.cancel()
    second.cancel()
    await _turns()
    flush.gate.set()
    assert await third == 6
    assert flush.batches == [[1], [3]]
    await batcher.close()


async def test_posted_items_linger_and_a_submitted_one_takes_them_along() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", linger=60, max_wait=0.001)
    batcher.post(1)
    batcher.post(2)
    await _turns()
    assert not flush.batches
    assert await batcher.submit(3) == 6
    assert flush.batches == [[1, 2, 3]]
    await batcher.close()


async def test_posted_items_leave_when_their_time_is_over_or_the_batch_is_full() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", linger=0.02, max_items=3, max_wait=0.001)
    batcher.post(1)
    await eventually(lambda: flush.batches == [[1]])
    slow = Batcher(flush, name="test", linger=60, max_items=3, max_wait=0.001)
    for item in (2, 3, 4):
        slow.post(item)
    await eventually(lambda: flush.batches == [[1], [2, 3, 4]])
    await batcher.close()
    await slow.close()


async def test_posted_items_outlive_an_outage_in_their_order() -> None:
    flush = Flush()
    flush.failures = [DependencyUnavailable("postgresql") for _ in range(3)]
    batcher = Batcher(flush, name="test", linger=0.001, backoff=Backoff(0.001, 0.01))
    for item in range(6):
        batcher.post(item)
    await eventually(lambda: len(flush.batches) == 4)
    assert flush.batches == [list(range(6))] * 4
    await batcher.close()
    assert len(flush.batches) == 4


async def test_a_posted_bad_item_is_logged_and_gone(caplog: pytest.LogCaptureFixture) -> None:
    flush = Flush()
    flush.poison = {2}
    batcher = Batcher(flush, name="the name")
    for item in (1, 2, 3):
        batcher.post(item)
    await batcher.close()
    assert "the name failed" in caplog.text
    assert [1] in flush.batches
    assert [3] in flush.batches


async def test_close_flushes_what_is_pending_even_while_it_lingers() -> None:
    flush = Flush()
    batcher = Batcher(flush, name="test", linger=60, max_wait=60, max_items=2)
    await asyncio.gather(*_submit_all(batcher, range(2)))
    for item in range(10, 15):
        batcher.post(item)
    async with asyncio.timeout(5):
        await batcher.close()
    assert sorted(item for batch in flush.batches for item in batch) == [0, 1, *range(10, 15)]
    with pytest.raises(RuntimeError):
        await batcher.submit(1)


async def test_close_says_what_it_could_not_write(caplog: pytest.LogCaptureFixture) -> None:
    flush = Flush()
    flush.failures = [DependencyUnavailable("postgresql")]
    batcher = Batcher(flush, name="test", linger=60)
    batcher.post(1)
    async with asyncio.timeout(5):
        await batcher.close()
    assert "without having written 1 posted items" in caplog.text


async def test_too_many_pending_items_are_refused() -> None:
    flush = Flush()
    flush.gate.clear()
    batcher = Batcher(flush, name="test", max_pending=2)
    first = asyncio.create_task(batcher.submit(1))
    await _turns()
    batcher.post(2)
    batcher.post(3)
    with pytest.raises(ResourceExhausted):
        batcher.post(4)
    with pytest.raises(ResourceExhausted):
        await batcher.submit(5)
    flush.gate.set()
    assert await first == 2
    await batcher.close()


async def test_a_writer_that_dies_leaves_nobody_waiting_and_is_replaced() -> None:
    flush = Flush()
    flush.gate.clear()
    batcher = Batcher(flush, name="test")
    waiting = _submit_all(batcher, [1])
    await _turns()
    waiting += _submit_all(batcher, [2])
    await _turns()
    for task in asyncio.all_tasks():
        if task.get_name() == "batcher test":
            task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, DependencyUnavailable) for answer in answers)
    flush.gate.set()
    assert await batcher.submit(3) == 6
    await batcher.close()
