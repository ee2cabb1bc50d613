from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongflow_workerqueue.domain.retry import RetryPolicy

FRACTIONS = st.floats(0, 1, exclude_max=True)


def test_the_delays_double_up_to_the_longest() -> None:
    policy = RetryPolicy(max_backoff=timedelta(seconds=5))
    delays = [policy.delay(failures, lambda: 0.5).total_seconds() for failures in range(1, 6)]
    assert delays == pytest.approx([1, 2, 4, 5, 5])


@given(failures=st.integers(1, 10_000), fraction=FRACTIONS)
def test_a_delay_strays_by_a_tenth_at_most(failures: int, fraction: float) -> None:
    policy = RetryPolicy()
    exact = policy.delay(failures, lambda: 0.5)
    delay = policy.delay(failures, lambda: fraction)
    assert exact * 0.899 <= delay <= exact * 1.101
    assert delay <= policy.max_backoff * 1.101


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial_backoff": timedelta()},
        {"initial_backoff": timedelta(hours=1)},
        {"multiplier": 0.5},
        {"multiplier": float("nan")},
        {"multiplier": 101.0},
    ],
)
def test_a_policy_that_would_spin_is_refused(wrong: dict[str, timedelta]) -> None:
    with pytest.raises(ValueError, match="must"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
