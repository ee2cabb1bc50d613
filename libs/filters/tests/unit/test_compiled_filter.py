"""What filters say about values; the quirks that users meet are named."""

import pytest

from kongflow_filters import CompiledFilter, parse_filter
from kongflow_filters.event_filter import MAX_DEPTH


def matches(value: object, written: object) -> bool:
    return CompiledFilter(parse_filter(written)).matches(value)


def test_a_list_of_strings_numbers_or_booleans_means_one_of_them() -> None:
    assert matches({"plan": "pro"}, {"plan": ["free", "pro"]})
    assert not matches({"plan": "Pro"}, {"plan": ["free", "pro"]})
    assert not matches({}, {"plan": ["free", "pro"]})


def test_an_empty_list_asks_nothing() -> None:
    assert matches({}, {"plan": []})


def test_numbers_equal_by_value_and_never_equal_booleans_or_strings() -> None:
    assert matches({"n": 1.0}, {"n": [1]})
    assert matches({"n": -0.0}, {"n": [0]})
    for other in (True, "1", [1], None):
        assert not matches({"n": other}, {"n": [1]})
        assert not matches({"n": other}, {"n": [1, 2]})
    assert not matches({"n": 1}, {"n": [True]})
    assert not matches({"n": 0}, {"n": [True, False]})


def test_integers_are_compared_as_doubles() -> None:
    assert matches({"n": 2**53 + 1}, {"n": [2**53]})
    assert matches({"n": 2**53 + 1}, {"n": [1, 2**53]})
    assert not matches({"n": 2**53 + 1}, {"n": [{"$gt": 2**53}]})
    assert not matches({"n": 2**53 - 1}, {"n": [2**53]})
    assert matches({"n": 10**400}, {"n": [float("inf")]})
    assert matches({"n": -(10**400)}, {"n": [{"$lt": -1e308}]})


def test_operators_in_a_list_must_all_hold() -> None:
    adult = {"age": [{"$gte": 18}, {"$lt": 65}]}
    assert matches({"age": 18}, adult)
    assert not matches({"age": 65}, adult)


def test_a_list_in_the_payload_never_equals_a_scalar() -> None:
    assert not matches({"tags": ["x", "y"]}, {"tags": ["x"]})
    assert matches({"tags": ["x", "y"]}, {"tags": [{"$includes": "x"}]})


def test_a_nested_filter_looks_for_one_element_of_a_list() -> None:
    order = {"items": {"sku": ["b"], "count": [{"$gt": 1}]}}
    assert matches({"items": [{"sku": "a", "count": 9}, {"sku": "b", "count": 2}]}, order)
    assert not matches({"items": [{"sku": "b", "count": 1}, {"sku": "a", "count": 9}]}, order)


def test_q9_an_empty_list_never_matches_a_nested_filter_even_an_empty_one() -> None:
    assert not matches({"items": []}, {"items": {}})
    assert matches({"items": [None]}, {"items": {}})


def test_missing_and_null_match_only_the_empty_nested_filter() -> None:
    for payload in ({}, {"user": None}):
        assert matches(payload, {"user": {}})
        assert not matches(payload, {"user": {"id": []}})


@pytest.mark.parametrize(
    ("operator", "holds", "fails"),
    [
        ({"$exists": True}, [None, 0, "", [], {}], []),
        ({"$exists": False}, [], [None, 0, "", [], {}]),
        ({"$isNull": True}, [None], [0, "", False, [], {}]),
        ({"$isNull": False}, [0, "", False, [], {}], [None]),
        ({"$anythingBut": "x"}, ["y", None, 1, ["x"], {}], ["x"]),
        ({"$anythingBut": [1, 2]}, [3, True, "1", [1], None], [1, 2.0]),
        ({"$anythingBut": []}, ["x", 1, None], []),
        ({"$gt": 0}, [1, 0.5], [0, True, "1", None, [1], {}]),
        ({"$gte": 1}, [1.0, 2], [0.5, True, "1", None]),
        ({"$lt": 1}, [0, -1], [1, False, "0", None]),
        ({"$lte": 1}, [1, 0], [2, False, "0", None]),
        ({"$between": [1, 5]}, [1, 3.5, 5], [0.9, 5.1, True, "3"]),
        ({"$between": [5, 1]}, [], [1, 3, 5]),
        ({"$includes": "x"}, [["x"], [1, "x"]], ["x", "xx", [], [["x"]], {"x": 1}]),
        ({"$includes": 1}, [[1.0]], [[True], ["1"], 1]),
        ({"$not": "x"}, ["y", 1, True, [], ["y"]], ["x", ["x"], None, {}]),
        ({"$not": 1}, [True, "1", 2], [1, 1.0, [1], None, {}]),
        ({"$startsWith": "ab"}, ["ab", "abc"], ["a", "Ab", 1, ["ab"], None]),
        ({"$endsWith": "yz"}, ["yz", "xyz"], ["yZ", 1, ["yz"], None]),
        ({"$startsWith": ""}, ["", "x"], [None, 1]),
        ({"$ignoreCaseEquals": "É"}, ["é", "e\u0301", "E\u0301"], ["e", "E", 1, None, ["é"]]),
        ({"$ignoreCaseEquals": "FI"}, ["ﬁ", "fi", "f\u00adi"], ["f", "fl"]),
        ({"$ignoreCaseEquals": "STRASSE"}, ["strasse"], ["straße"]),
    ],
)
def test_operators(operator: object, holds: list[object], fails: list[object]) -> None:
    written = {"a": [operator]}
    assert [value for value in holds if not matches({"a": value}, written)] == []
    assert [value for value in fails if matches({"a": value}, written)] == []


@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        ({"$exists": False}, True),
        ({"$isNull": False}, True),
        ({"$anythingBut": "x"}, True),
        ({"$exists": True}, False),
        ({"$isNull": True}, False),
        ({"$not": "x"}, False),
        ({"$gt": 0}, False),
        ({"$startsWith": ""}, False),
    ],
)
def test_operators_on_a_missing_key(operator: object, holds: bool) -> None:
    assert matches({}, {"a": [operator]}) is holds


def test_strings_can_be_indexed_in_utf16() -> None:
    assert matches({"s": "a😀"}, {"s": {"length": [3], "0": ["a"], "1": ["\ud83d"]}})
    assert matches({"s": "aé"}, {"s": {"length": [2], "1": ["é"], "2": [{"$exists": False}]}})
    assert matches({"s": "😀x"}, {"s": [{"$startsWith": "\ud83d"}]})
    assert matches({"s": "x😀"}, {"s": [{"$endsWith": "\ude00"}]})
    assert not matches({"s": "abc"}, {"s": {"00": [{"$exists": True}]}})


def test_lists_can_be_indexed() -> None:
    rows = {"rows": {"0": ["x"], "length": [2]}}
    assert matches({"rows": [["a"], ["x", "y"]]}, rows)
    assert not matches({"rows": ["x", "y"]}, rows)


def test_inherited_properties_are_seen_and_own_ones_come_first() -> None:
    constructor = {"constructor": {"name": ["Object"]}}
    assert matches({}, constructor)
    assert not matches({"constructor": {"name": "Mine"}}, constructor)
    assert matches({"a": "x"}, {"a": {"trim": {"name": ["trim"], "length": [0]}}})
    assert matches({"a": 1}, {"a": {"constructor": {"MAX_SAFE_INTEGER": [2**53 - 1]}}})
    assert matches({"a": True}, {"a": {"constructor": {"name": ["Boolean"]}}})
    assert matches({"a": [[1]]}, {"a": {"constructor": {"name": ["Array"]}}})
    assert matches({}, {"hasOwnProperty": [{"$exists": True}]})


def test_a_property_that_throws_in_javascript_is_no_match_whatever_follows() -> None:
    written = {"a": {"toString": {"caller": [{"$exists": False}]}}}
    assert not matches({"a": {}}, written)
    assert matches({"a": [{"toString": {}}, {}]}, written)
    assert not matches({"a": [{}, {"toString": {}}]}, written)


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes is not a JSON value"):
        matches(b"x", {"a": []})


def test_a_filter_of_the_greatest_depth_meets_a_payload_that_is_deeper() -> None:
    written: object = {"a": [1]}
    payload: object = {"a": 1}
    for _ in range(MAX_DEPTH - 2):
        written, payload = {"a": written}, {"a": [payload]}
    assert matches(payload, written)
    assert not matches({"a": [payload]}, written)
