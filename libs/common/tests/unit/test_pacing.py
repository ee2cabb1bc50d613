"""How long stages rest."""

import pytest

from kongflow_common.pacing import FOR_CALLERS, FOR_NOBODY, Pacing


@pytest.mark.parametrize("pacing", [FOR_CALLERS, FOR_NOBODY])
def test_a_few_items_are_followed_by_no_rest(pacing: Pacing) -> None:
    assert [pacing.rest(size) for size in range(4)] == [0.0] * 4
    assert pacing.rest(4) > 0


@pytest.mark.parametrize("pacing", [FOR_CALLERS, FOR_NOBODY])
def test_a_rest_grows_with_the_batch_up_to_the_longest(pacing: Pacing) -> None:
    rests = [pacing.rest(size) for size in range(4, 1_000)]
    assert rests == sorted(rests)
    assert rests[-1] == pacing.longest


@pytest.mark.parametrize(("rate", "grows"), [(200, False), (900, False), (1_100, True)])
def test_batches_grow_only_where_much_arrives(rate: float, grows: bool) -> None:
    size = 20.0
    for _ in range(100):
        size = rate * FOR_NOBODY.rest(int(size))
    assert (size > 20) is grows
    assert size <= rate * FOR_NOBODY.longest
