"""How long stages rest."""

import pytest

from kongflow_common.outbox.pacing import rest_seconds


def test_a_few_items_are_followed_by_no_rest() -> None:
    assert [rest_seconds(size) for size in range(4)] == [0.0] * 4
    assert rest_seconds(4) == pytest.approx(0.004)


def test_a_rest_grows_with_the_batch_up_to_the_longest() -> None:
    rests = [rest_seconds(size) for size in range(4, 1_000)]
    assert rests == sorted(rests)
    assert rests[-1] == pytest.approx(0.040)


@pytest.mark.parametrize(("rate", "grows"), [(200, False), (900, False), (1_100, True)])
def test_batches_grow_only_where_much_arrives(rate: float, grows: bool) -> None:
    size = 10.0
    for _ in range(100):
        size = rate * rest_seconds(int(size))
    assert (size > 10) is grows
    assert size <= rate * 0.040
