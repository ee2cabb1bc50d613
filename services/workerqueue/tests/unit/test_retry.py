from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongflow_workerqueue.domain.retry import ExponentialRetry, FourthPowerRetry, ListedRetry

FRACTIONS = st.floats(0, 1, exclude_max=True)


def test_the_delays_double_up_to_the_longest() -> None:
    policy = ExponentialRetry(max_backoff=timedelta(seconds=5))
    delays = [policy.delay(failures, lambda: 0.5).total_seconds() for failures in range(1, 6)]
    assert delays == pytest.approx([1, 2, 4, 5, 5])


@given(failures=st.integers(1, 10_000), fraction=FRACTIONS)
def test_a_delay_strays_by_a_tenth_at_most(failures: int, fraction: float) -> None:
    policy = ExponentialRetry()
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
        ExponentialRetry(**wrong)  # type: ignore[arg-type]


def test_the_fourth_power_grows_from_seconds_to_days() -> None:
    policy = FourthPowerRetry()
    delays = [policy.delay(failures, lambda: 0.5).total_seconds() for failures in (1, 2, 3, 4, 24)]
    assert delays == pytest.approx([1, 16, 81, 256, 331_776])
    bounded = FourthPowerRetry(timedelta(seconds=2), timedelta(seconds=40))
    assert [bounded.delay(n, lambda: 0.5).total_seconds() for n in (1, 2, 3)] == [2, 32, 40]


@given(failures=st.integers(1, 200), fraction=FRACTIONS)
def test_the_fourth_power_strays_by_a_tenth_at_most(failures: int, fraction: float) -> None:
    delay = FourthPowerRetry().delay(failures, lambda: fraction).total_seconds()
    assert failures**4 * 0.899 <= delay <= failures**4 * 1.101


@given(fraction=FRACTIONS)
def test_listed_delays_are_kept_to_and_the_last_one_serves_for_all_beyond(fraction: float) -> None:
    policy = ListedRetry((timedelta(seconds=1), timedelta(minutes=5), timedelta(seconds=3)))
    delays = [policy.delay(failures, lambda: fraction).total_seconds() for failures in range(1, 6)]
    assert delays == [1, 300, 3, 3, 3]


@pytest.mark.parametrize("delays", [(), (timedelta(),), (timedelta(seconds=-1),)])
def test_a_list_that_would_spin_is_refused(delays: tuple[timedelta, ...]) -> None:
    with pytest.raises(ValueError, match="delays must"):
        ListedRetry(delays)
