"""Match lists and alternatives agree with plain readings of their rules; bad ones say where."""

import ipaddress
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kongflow_filters import (
    MISSING,
    CompiledFilter,
    InvalidFilter,
    Wildcard,
    equalities,
    explain,
    parse_filter,
    scalars_at,
)

LETTERS = "abAB*\\éÉσςΣß%_."
TEXTS = st.text(LETTERS, max_size=8)
NUMBERS = st.sampled_from([-1, 0, 1, 1.0, 1.5, 2, 10**20])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
VALUES = st.recursive(
    st.one_of(st.none(), SCALARS, st.sampled_from(["10.0.0.7", "10.0.1.7", "2001:db8::1", "x"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["", "a.b"]), inner)
    ),
    max_leaves=4,
)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


PATTERNS = st.lists(TEXTS, min_size=1, max_size=4).map(
    lambda parts: "*".join(
        [escaped(parts[0])]
        + [escaped(each) for each in parts[1:-1] if each]
        + [escaped(each) for each in parts[1:][-1:]]
    )
)
AFFIXES = st.one_of(TEXTS, TEXTS.map(lambda text: {"equals-ignore-case": text}))
TEXT_MATCHERS = st.one_of(
    st.builds(lambda operand: {"prefix": operand}, AFFIXES),
    st.builds(lambda operand: {"suffix": operand}, AFFIXES),
    st.builds(lambda operand: {"equals-ignore-case": operand}, TEXTS),
    st.builds(lambda operand: {"wildcard": operand}, PATTERNS),
)
NUMERIC = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS).map(list),
    st.tuples(
        st.sampled_from([">", ">="]),
        st.sampled_from([-1, 0, 1]),
        st.sampled_from(["<", "<="]),
        st.sampled_from([1.5, 2]),
    ).map(list),
)


def excluding(matcher: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    [(name, operand)] = matcher.items()
    return st.sampled_from([{name: operand}, {name: [operand]}, {name: [operand, "a"]}]).map(
        lambda inner: {"anything-but": inner}
    )


ENTRIES = st.one_of(
    st.none(),
    SCALARS,
    TEXT_MATCHERS,
    NUMERIC.map(lambda operand: {"numeric": operand}),
    st.booleans().map(lambda operand: {"exists": operand}),
    st.sampled_from(["10.0.0.0/24", "10.0.0.9/24", "2001:db8::/32", "0.0.0.0/0"]).map(
        lambda operand: {"cidr": operand}
    ),
    st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3)).map(
        lambda operand: {"anything-but": operand}
    ),
    TEXT_MATCHERS.flatmap(excluding),
)
LISTS = st.lists(ENTRIES, min_size=1, max_size=4)


def same(one: object, other: object) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def fold(text: str) -> list[str]:
    table = {"É": "é", "Σ": "σ", "ς": "σ"}
    return [table.get(each, each.lower()) for each in text]


def tokens(pattern: str) -> list[str]:
    rest = iter(pattern)
    return ["\\" + next(rest) if each == "\\" else each for each in rest]


def wild(pattern: str, text: str) -> bool:
    wanted = tokens(pattern)

    @cache
    def at(i: int, j: int) -> bool:
        if i == len(wanted):
            return j == len(text)
        if wanted[i] == "*":
            return at(i + 1, j) or (j < len(text) and at(i, j + 1))
        return j < len(text) and wanted[i][-1] == text[j] and at(i + 1, j + 1)

    return at(0, 0)


def affix(operand: Any, text: str, *, end: bool) -> bool:
    if isinstance(operand, dict):
        wanted, found = fold(operand["equals-ignore-case"]), fold(text)
    else:
        wanted, found = list(operand), list(text)
    if end:
        wanted.reverse()
        found.reverse()
    return found[: len(wanted)] == wanted


def compared(value: float, operand: list[Any]) -> bool:
    for sign, bound in zip(operand[::2], operand[1::2], strict=True):
        holds = {
            "=": value == bound,
            "<": value < bound,
            "<=": value <= bound,
            ">": value > bound,
            ">=": value >= bound,
        }
        if not holds[sign]:
            return False
    return True


def in_range(value: object, operand: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(operand, strict=False)  # type: ignore[arg-type]
    except ValueError:
        return False


def differs(operand: Any, value: Any) -> bool:
    if value is MISSING or isinstance(value, list | dict):
        return False
    if isinstance(operand, dict):
        [(name, texts)] = operand.items()
        texts = texts if isinstance(texts, list) else [texts]
        return not any(oracle_one({name: each}, value) for each in texts)
    excluded = operand if isinstance(operand, list) else [operand]
    return not any(same(each, value) for each in excluded)


def numeric(operand: list[Any], value: Any) -> bool:
    return type(value) in (int, float) and compared(value, operand)


OF_ANYTHING: dict[str, Callable[[Any, Any], bool]] = {
    "exists": lambda operand, value: (value is not MISSING) == operand,
    "anything-but": differs,
    "numeric": numeric,
}
OF_TEXTS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": lambda operand, value: affix(operand, value, end=False),
    "suffix": lambda operand, value: affix(operand, value, end=True),
    "equals-ignore-case": lambda operand, value: fold(operand) == fold(value),
    "wildcard": wild,
    "cidr": lambda operand, value: in_range(value, operand),
}


def oracle_one(entry: Any, value: Any) -> bool:
    if entry is None:
        return value is None
    if not isinstance(entry, dict):
        return same(entry, value)
    [(name, operand)] = entry.items()
    if name in OF_ANYTHING:
        return bool(OF_ANYTHING[name](operand, value))
    return isinstance(value, str) and bool(OF_TEXTS[name](operand, value))


def oracle(entries: list[Any], value: Any) -> bool:
    if any(oracle_one(each, value) for each in entries):
        return True
    return isinstance(value, list) and any(
        oracle_one(entry, each) for entry in entries for each in value if not isinstance(each, list)
    )


@settings(max_examples=1_000, deadline=None)
@given(LISTS, st.one_of(st.just(MISSING), VALUES))
def test_a_match_list_agrees_with_a_plain_reading(entries: list[Any], value: Any) -> None:
    event_filter = parse_filter({"k": [{"$kongflow": entries}]})
    payload = {} if value is MISSING else {"k": value}
    verdict = CompiledFilter(event_filter).matches(payload)
    assert verdict == oracle(entries, value)
    assert (explain(event_filter, payload) is None) == verdict
    assert parse_filter(json.loads(json.dumps(event_filter.tree))) == event_filter


KEYS = st.sampled_from(["a", "", "x.y", "$kongflow", "$or", "length", "caller", "constructor"])
FILTERS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(
        KEYS,
        st.one_of(
            st.lists(TEXTS, max_size=2),
            LISTS.map(lambda entries: [{"$kongflow": entries}]),
            st.just([{"$exists": True}]),
        ),
        max_size=2,
    ),
    lambda inner: st.builds(
        lambda plain, groups: {**plain, "$kongflow": [{"$or": each} for each in groups]},
        st.dictionaries(st.sampled_from(["a", "", "$or"]), inner, max_size=2),
        st.lists(st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=2),
    ),
    max_leaves=6,
)
PAYLOADS = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def rewritten(written: dict[str, Any], value: Any) -> bool:
    """Alternatives asked one by one, each as a filter of its own, all else by the compiled one."""
    groups = written.get("$kongflow", [])
    is_alternatives = any("$or" in each for each in groups if isinstance(each, dict))
    if not is_alternatives:
        groups = []
    if written and value is None:
        return False
    plain = {key: node for key, node in written.items() if key != "$kongflow" or not groups}
    for key, node in plain.items():
        if isinstance(node, dict) and type(value) is dict and key in value:
            inner = value[key]
            held = (
                any(rewritten(node, each) for each in inner)
                if isinstance(inner, list)
                else rewritten(node, inner)
            )
        else:
            held = CompiledFilter(parse_filter({key: node})).matches(value)
        if not held:
            return False
    return all(any(rewritten(each, value) for each in group["$or"]) for group in groups)


@settings(max_examples=600, deadline=None)
@given(FILTERS, PAYLOADS)
def test_alternatives_agree_with_asking_each_and_are_never_missed(
    written: dict[str, Any], value: Any
) -> None:
    event_filter = parse_filter(written)
    verdict = CompiledFilter(event_filter).matches(value)
    assert (explain(event_filter, value) is None) == verdict
    assert verdict == rewritten(written, value)
    assert parse_filter(json.loads(json.dumps(event_filter.tree))) == event_filter
    if verdict:
        for demand in equalities(event_filter.tree):
            assert demand.scalars & set(scalars_at(value, demand.path))


def holds(written: object, value: object) -> bool:
    return CompiledFilter(parse_filter(written)).matches(value)


def test_payload_keys_of_the_same_names_stay_payload_keys() -> None:
    """What the original takes means what it means there."""
    assert holds({"$or": [{"$exists": True}]}, {"$or": 1})
    assert holds({"$kongflow": ["x"]}, {"$kongflow": "x"})
    assert holds({"$kongflow": {"$or": ["x"]}}, {"$kongflow": {"$or": "x"}})
    assert holds({"$kongflow": [{"$or": [], "$exists": True}]}, {"$kongflow": 0})
    kept = parse_filter({"a": [{"$kongflow": "?", "$gt": 1}]})
    assert [each.kept for each in kept.warnings] == ["$gt"]
    assert CompiledFilter(kept).matches({"a": 2})
    with pytest.raises(InvalidFilter, match="has no operator"):
        parse_filter({"$or": [{"a": ["x"]}]})
    with pytest.raises(InvalidFilter, match="must be a number"):
        parse_filter({"a": [{"$kongflow": ["x"], "$gt": "no"}]})


def test_long_texts_are_matched_in_linear_time() -> None:
    """A megabyte of what a backtracking matcher would try a million times."""
    text = "a" * 1_000_000
    hard = {"wildcard": "*" + "a*" * 50 + "b*c"}
    long = {"wildcard": "*" + "a" * 50_000 + "b" + "a" * 50_000 + "*"}
    entries = [
        hard,
        long,
        {"wildcard": "*aaab*"},
        {"suffix": {"equals-ignore-case": "É"}},
        {"cidr": "::/0"},
    ]
    compiled = CompiledFilter(parse_filter({"k": [{"$kongflow": entries}]}))
    began = time.process_time()
    assert not compiled.matches({"k": text})
    assert not compiled.matches({"k": "ê" * 1_000_000})
    assert Wildcard("a*a*a").matches(text)
    assert time.process_time() - began < 1


def test_payloads_nested_a_thousand_deep_are_looked_into() -> None:
    payload: Any = "deep"
    for _ in range(1_000):
        payload = {"": payload}
    assert not holds({"": [{"$kongflow": ["x", {"exists": False}]}]}, payload)
    assert holds(
        {"$kongflow": [{"$or": [{"x": ["y"]}, {"": [{"$kongflow": [{"exists": True}]}]}]}]}, payload
    )


def test_an_alternative_that_cannot_be_read_does_not_hold_and_another_may() -> None:
    unreadable = {"constructor": {"caller": ["x"]}}
    assert not holds(unreadable, {"a": "x"})
    assert holds({"$kongflow": [{"$or": [unreadable, {"a": ["x"]}]}]}, {"a": "x"})


def test_an_explanation_names_the_list_and_the_alternatives() -> None:
    event_filter = parse_filter(
        {
            "a": {
                "ip": [{"$kongflow": [{"cidr": "10.0.0.0/8"}]}],
                "$kongflow": [{"$or": [{"b": ["x"]}]}],
            }
        }
    )
    found = explain(event_filter, {"a": {"ip": "11.0.0.1"}}, "payload")
    assert found is not None
    assert (found.path, found.operator, found.found) == ("payload.a.ip", "$kongflow", "11.0.0.1")
    found = explain(event_filter, {"a": {"ip": "10.0.0.1"}}, "payload")
    assert found is not None
    assert (found.path, found.operator) == ("payload.a", "$or")
    assert found.wanted == ({"b": ("x",)},)
