"""A filter and a value that are both large: given up in time, alike by matching and explaining."""

import time

import orjson
import pytest

from kongflow_filters import EventMatcher, MatchTarget, MismatchKind, explain_event
from kongflow_filters.effort import MAX_EVENT_STEPS, MAX_STEPS, UNCOUNTED_STEPS, Effort
from kongflow_filters.event_filter import parse_filter
from kongflow_filters.explanation import explain, explain_member, weight_of

MISSING_KEYS = {f"k{number}": [{"$exists": False}] for number in range(2_000)}
RANGES = [{"$kongflow": [{"cidr": "10.0.0.0/8"}] * 1_000}]

# Each is within the limits of a filter and of a payload, and took from half a minute to minutes.
LARGE: dict[str, tuple[object, object]] = {
    "elements and keys": ({"a": {**MISSING_KEYS, "z": [1]}}, {"a": [{}] * 100_000}),
    "elements and ranges": ({"a": RANGES * 15}, {"a": ["10.0.0.1"] * 40_000}),
    "elements and operators": (
        {"a": [{"$not": f"q{number}"} for number in range(20_000)]},
        {"a": ["y"] * 80_000},
    ),
    "elements and values": (
        {"a": {"b": [{"$kongflow": [{"anything-but": ["x"] * 1_000}]}] * 90}},
        {"a": [{"b": "x"}] * 40_000},
    ),
    "elements and alternatives": (
        {"a": {"$kongflow": [{"$or": [{"b": [number]} for number in range(20_000)]}]}},
        {"a": [{"b": -1}] * 50_000},
    ),
}


def target_of(payload: object) -> MatchTarget:
    return MatchTarget.of_json(payload, {}, size=len(orjson.dumps(payload)))


@pytest.mark.parametrize("name", LARGE)
def test_what_takes_too_many_steps_does_not_hold_and_says_so(name: str) -> None:
    written, payload = LARGE[name]
    matcher, target = EventMatcher(written), target_of(payload)
    began = time.process_time()
    assert not matcher.matches(target)
    assert time.process_time() - began < 15
    explanation = explain_event(target, written)
    assert explanation is not None
    assert explanation.mismatch is not None
    assert explanation.mismatch.kind is MismatchKind.TOO_LARGE


def test_what_is_large_and_takes_few_steps_is_matched() -> None:
    # Nearly all of both lies where the other does not look.
    written = {**MISSING_KEYS, "a": ["yes"], "few": {"id": ["x"]}}
    payload = {"a": "yes", "many": [{}] * 100_000, "few": [{"id": "y"}, {"id": "x"}]}
    assert EventMatcher(written).matches(target_of(payload))
    assert not EventMatcher(written).matches(target_of({**payload, "few": []}))
    # A list of values is asked at once, however long it is.
    values = {"a": {"b": [f"v{number}" for number in range(20_000)]}, **MISSING_KEYS}
    elements = {"a": [{"b": "w"}] * 100_000 + [{"b": "v19999"}]}
    assert EventMatcher(values).matches(target_of(elements))


def test_as_many_steps_as_are_allowed_may_be_taken() -> None:
    # Of each element the element itself, a key and a condition.
    written = parse_filter({"a": {"b": [{"$gt": 0}]}})
    fits = MAX_STEPS // 3 - 2
    found = {count: explain(written, {"a": [{"b": 0}] * count}) for count in (fits, fits + 5)}
    kinds = [None if each is None else each.kind for each in found.values()]
    assert kinds == [MismatchKind.NO_ELEMENT, MismatchKind.TOO_LARGE]


@pytest.mark.parametrize(
    ("written", "weight"),
    [
        ({}, 1),
        ({"a": [1, 2, 3]}, 2),
        ({"a": {"b": [{"$gt": 1}, {"$lt": 5}]}}, 6),
        ({"a": [{"$kongflow": ["x", 1, None, {"anything-but": ["a", "b"]}]}]}, 8),
        ({"a": [{"$kongflow": [{"anything-but": {"prefix": ["a", "b"]}}]}]}, 5),
        ({"$kongflow": [{"$or": [{"a": [1]}, {"b": [2]}]}]}, 6),
    ],
)
def test_weights(written: object, weight: int) -> None:
    assert weight_of(parse_filter(written)) == weight


@pytest.mark.parametrize("keys", [1, 40])
def test_what_is_not_counted_takes_no_more_steps_than_that(keys: int) -> None:
    tree = {**{f"k{number}": [{"$exists": False}] for number in range(keys)}, "z": [1]}
    written = {"a": tree}
    weight = weight_of(parse_filter(written)) + 1
    # The most elements of which matching does not count the steps.
    elements = UNCOUNTED_STEPS // weight - 1
    for more, counted in ((0, False), (1, True)):
        payload = {"a": [{}] * (elements + more), "long": "x" * UNCOUNTED_STEPS}
        target = target_of(payload)
        assert target.effort is not None
        assert target.effort.counts(weight) is counted
        assert not EventMatcher(written).matches(target)
        assert (target.effort.spent > 0) is counted
        effort = Effort(0, at_most=UNCOUNTED_STEPS + weight)
        explain_member(parse_filter(written), payload, effort=effort)
        assert not effort.is_used_up


def test_a_list_that_filters_do_not_look_at_leaves_them_quick() -> None:
    written = {f"k{number}": [1] for number in range(30)}
    target = target_of({f"k{number}": 1 for number in range(30)} | {"long": [0] * 10_000})
    assert target.effort is not None
    assert EventMatcher(written).matches(target)
    assert 0 < target.effort.spent <= weight_of(parse_filter(written)) + 2


def test_all_filters_of_an_event_have_so_many_steps_together() -> None:
    payload = {"a": [{"b": 0}] * 100_000}
    target = target_of(payload)
    matcher = EventMatcher({"a": {"b": [{"$gt": 0}]}})
    last = {"a": [{"b": 0}] * 100_000 + [{"b": 1}]}
    fits = target_of(last)
    assert matcher.matches(fits)
    # Three steps for each element.
    for _ in range(MAX_EVENT_STEPS // 300_000):
        assert not matcher.matches(target)
        assert target.effort is not None
        assert not target.effort.is_used_up
    for _ in range(MAX_EVENT_STEPS // 300_000 - 1):
        assert matcher.matches(fits)
    assert not matcher.matches(fits)
    # What is small holds all the same, and so does what looks elsewhere.
    assert EventMatcher({"c": [{"$exists": False}]}).matches(target)
    # Asked alone it holds.
    assert explain_event(fits, {"a": {"b": [{"$gt": 0}]}}) is None
    began = time.process_time()
    for _ in range(200):
        assert not matcher.matches(fits)
    assert time.process_time() - began < 1


def test_the_smallest_filters_are_counted_where_the_document_is_a_list() -> None:
    elements = 250_000
    target = target_of([{"a": 0}] * elements)
    assert target.effort is not None
    matcher = EventMatcher({"a": [1]})
    for _ in range(20):
        assert not matcher.matches(target)
    assert target.effort.is_used_up
    lying_elsewhere = target_of({"a": 1, "long": [0] * elements})
    assert lying_elsewhere.effort is not None
    assert matcher.matches(lying_elsewhere)
    assert lying_elsewhere.effort.spent == 0
