"""Why a filter does not hold: the place, the operator, what was wanted and what was found."""

import pytest

from kongflow_filters import (
    MISSING,
    MismatchKind,
    explain,
    explain_member,
    parse_filter,
)
from kongflow_filters.javascript_objects import BuiltInObject


@pytest.mark.parametrize(
    ("written", "value", "path", "operator", "wanted", "found"),
    [
        ({"a": [1]}, {"a": 2}, "payload.a", "", (1,), 2),
        ({"a": ["x", "y"]}, {}, "payload.a", "", ("x", "y"), MISSING),
        ({"a": [{"$gt": 5}]}, {"a": 5}, "payload.a", "$gt", 5, 5),
        ({"a": [{"$gt": 1}, {"$lt": 5}]}, {"a": 7}, "payload.a", "$lt", 5, 7),
        ({"a": [{"$between": [1, 2]}]}, {"a": None}, "payload.a", "$between", [1, 2], None),
        (
            {"u": {"n": {"first": ["x"]}}},
            {"u": {"n": {}}},
            "payload.u.n.first",
            "",
            ("x",),
            MISSING,
        ),
        ({"name": {"length": [3]}}, {"name": "four"}, "payload.name.length", "", (3,), 4),
    ],
)
def test_a_condition_that_does_not_hold_is_named(
    written: object, value: object, path: str, operator: str, wanted: object, found: object
) -> None:
    mismatch = explain(parse_filter(written), value, "payload")
    assert mismatch is not None
    assert mismatch.kind is MismatchKind.CONDITION
    assert (mismatch.path, mismatch.operator) == (path, operator)
    assert mismatch.wanted == wanted
    assert mismatch.found == found


def test_the_first_in_the_order_of_the_filter_is_named() -> None:
    mismatch = explain(parse_filter({"b": [1], "a": [1], "0": [{"$exists": False}]}), {"b": 2})
    assert mismatch is not None
    assert mismatch.path == "b"
    # JavaScript walks keys that are indexes first, and so do filters.
    mismatch = explain(parse_filter({"b": [1], "a": [1], "0": [{"$exists": True}]}), {"b": 2})
    assert mismatch is not None
    assert (mismatch.path, mismatch.operator, mismatch.found) == ("0", "$exists", MISSING)


@pytest.mark.parametrize("elements", [[], [{"sku": "a"}, {"sku": "b"}]])
def test_of_a_list_no_element_matched(elements: list[object]) -> None:
    mismatch = explain(parse_filter({"items": {"sku": ["c"]}}), {"items": elements}, "payload")
    assert mismatch is not None
    assert mismatch.kind is MismatchKind.NO_ELEMENT
    assert (mismatch.path, mismatch.operator) == ("payload.items", "")
    assert (mismatch.wanted, mismatch.found) == ({"sku": ("c",)}, elements)


@pytest.mark.parametrize("holder", [{}, {"user": None}])
def test_what_is_not_there_has_no_members(holder: object) -> None:
    """Not even one that must not exist, so the path ends where there is nothing."""
    mismatch = explain(parse_filter({"user": {"age": [{"$exists": False}]}}), holder)
    assert mismatch is not None
    assert mismatch.kind is MismatchKind.NO_MEMBERS
    assert (mismatch.path, mismatch.wanted) == ("user", {"age": ({"$exists": False},)})
    assert mismatch.found is (None if holder else MISSING)


def test_what_javascript_refuses_to_read_ends_the_search() -> None:
    written = parse_filter({"a": {"toString": {"caller": [1]}}})
    # The second element would match if it were looked at.
    mismatch = explain(written, {"a": [{}, {"toString": {"caller": 1}}]}, "payload")
    assert mismatch is not None
    assert mismatch.kind is MismatchKind.UNREADABLE
    assert mismatch.path == "payload.a.toString.caller"


def test_what_values_inherit_may_be_found() -> None:
    mismatch = explain(parse_filter({"toString": ["x"]}), {})
    assert mismatch is not None
    assert isinstance(mismatch.found, BuiltInObject)


def test_a_list_that_is_the_value_itself_matches_by_an_element_as_a_member_only() -> None:
    written = parse_filter({"a": [1]})
    assert explain_member(written, [{"a": 2}, {"a": 1}]) is None
    mismatch = explain(written, [{"a": 1}])
    assert mismatch is not None
    assert (mismatch.path, mismatch.found) == ("a", MISSING)
    empty = explain_member(parse_filter({}), [], "payload")
    assert empty is not None
    assert (empty.path, empty.kind, empty.wanted) == ("payload", MismatchKind.NO_ELEMENT, {})


def test_a_filter_that_holds_has_no_mismatch() -> None:
    written = parse_filter({"a": [{"$gt": 1}], "b": {"c": []}, "d": {}})
    assert explain(written, {"a": 2, "b": {}}) is None


def test_keys_that_could_be_read_as_another_place_stand_in_quotes() -> None:
    written = parse_filter({"a.b": {"": ["x"]}})
    mismatch = explain(written, {"a.b": {"": "y"}}, "payload")
    assert mismatch is not None
    assert (mismatch.path, mismatch.steps) == ('payload["a.b"][""]', ("payload", "a.b", ""))


def test_the_place_is_told_though_it_lies_deep() -> None:
    written: object = {"leaf": [1]}
    value: object = {"leaf": 2}
    for _ in range(190):
        written, value = {"a": written}, {"a": value}
    mismatch = explain(parse_filter(written), value)
    assert mismatch is not None
    assert mismatch.path == "a." * 190 + "leaf"
