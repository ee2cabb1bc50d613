"""The keys of limits: whose jobs share one, and which stand in one line."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.domain.limits import (
    LONGEST_PERIOD,
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    RateRule,
    limits_of,
    rate_rule,
    with_other_keys,
)

ENVIRONMENT = new_id()
SECOND = timedelta(seconds=1)


def test_a_key_belongs_to_its_environment() -> None:
    key = KeyRule("k")
    assert key.resolve(ENVIRONMENT, {}) == f"{ENVIRONMENT.hex}:k"
    assert key.resolve(None, {}) == ":k"


def test_named_arguments_are_part_of_a_key() -> None:
    key = KeyRule("k", ("a", "b"))
    same = key.resolve(None, {"a": {"y": 1, "x": 2}, "b": 1, "c": 3})
    assert same == key.resolve(None, {"b": 1, "a": {"x": 2, "y": 1}})
    assert same != key.resolve(None, {"a": {"y": 1, "x": 2}, "b": 2})
    assert key.resolve(None, {"a": None}) == key.resolve(None, {})


def test_a_long_value_does_not_make_a_long_key() -> None:
    key = KeyRule("k" * 256, ("a",))
    one, other = key.resolve(None, {"a": "x" * 10_000}), key.resolve(None, {"a": "y" * 10_000})
    assert one != other
    assert len(one) <= 256


def test_who_stands_in_one_line() -> None:
    concurrency = ConcurrencyRule(KeyRule("c"), 3)
    rate = RateRule(KeyRule("r"), SECOND, 1)

    def lane(rules: LimitRules) -> object:
        limits = limits_of(rules, None, {})
        assert limits is not None
        return limits.lane

    assert limits_of(LimitRules(), None, {}) is None
    both = lane(LimitRules(concurrency=concurrency, rate=rate))
    assert len({both, lane(LimitRules(concurrency=concurrency)), lane(LimitRules(rate=rate))}) == 3
    # All of a serial key stand in its line, whatever else limits them.
    line = KeyRule("s")
    assert lane(LimitRules(line)) == lane(LimitRules(line, concurrency, rate))
    # A key of one sort says nothing about another.
    assert lane(LimitRules(KeyRule("c"))) != lane(LimitRules(concurrency=concurrency))


def test_a_rate_is_an_interval() -> None:
    assert rate_rule(KeyRule("r"), count=4, period=SECOND, burst=2).interval == SECOND / 4


@pytest.mark.parametrize(
    ("count", "period", "burst"),
    [
        (0, SECOND, 1),
        (1_000_001, SECOND, 1),
        (1, SECOND, 0),
        (1, timedelta(), 1),
        (10, timedelta(microseconds=1), 1),
        (1, LONGEST_PERIOD + SECOND, 1),
        (1, LONGEST_PERIOD, 11),
    ],
)
def test_a_rate_that_cannot_be_kept(count: int, period: timedelta, burst: int) -> None:
    with pytest.raises(ValueError, match=r"must be|takes more"):
        rate_rule(KeyRule("r"), count=count, period=period, burst=burst)


def test_edited_arguments_change_the_keys_that_are_the_kinds() -> None:
    rules = LimitRules(
        serial=KeyRule("line", ("to",)),
        concurrency=ConcurrencyRule(KeyRule("k", ("to",)), 2),
        rate=RateRule(KeyRule("fixed"), timedelta(seconds=1), 1),
    )
    former, now = limits_of(rules, None, {"to": "a"}), limits_of(rules, None, {"to": "b"})
    assert former is not None
    assert with_other_keys(former, former, now) == now
    # The command's own key is not the kind's; what its own line was made of is not known.
    own = replace(former, concurrency_key=":own")
    edited = with_other_keys(own, former, now)
    assert now is not None
    assert (edited.serial_key, edited.concurrency_key) == (now.serial_key, ":own")
    assert with_other_keys(own, None, None) is own


def test_only_the_limits_that_a_job_has_are_edited() -> None:
    rules = LimitRules(
        serial=KeyRule("line", ("to",)), concurrency=ConcurrencyRule(KeyRule("k", ("to",)), 2)
    )
    former, now = limits_of(rules, None, {"to": "a"}), limits_of(rules, None, {"to": "b"})
    bare = limits_of(LimitRules(concurrency=rules.concurrency), None, {"to": "a"})
    assert bare is not None
    assert with_other_keys(bare, former, now) == limits_of(
        LimitRules(concurrency=rules.concurrency), None, {"to": "b"}
    )
