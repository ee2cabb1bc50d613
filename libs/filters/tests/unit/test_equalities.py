"""What filters demand by equality never leaves out one that holds."""

import json
from itertools import islice

import pytest

from kongflow_filters import CompiledFilter, Equality, InvalidFilter, equalities, parse_filter
from kongflow_filters.equalities import scalars_at
from tests.differential.generator import Pairs


def demanded(written: object) -> list[Equality]:
    return list(equalities(parse_filter(written, "filter").tree))


def test_lists_of_scalars_are_demands_wherever_they_stand() -> None:
    assert demanded({"a": ["x", "y"], "b": {"c": [1, 2.0]}, "d": [True]}) == [
        Equality(("a",), frozenset({"x", "y"})),
        Equality(("b", "c"), frozenset({1.0, 2.0})),
        Equality(("d",), frozenset({(True,)})),
    ]


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"a": []},
        {"a": {}},
        {"a": [{"$gt": 5}]},
        {"length": [3]},
        {"name": {"0": ["a"]}},
        {"constructor": {"name": ["Object"]}},
    ],
    ids=json.dumps,
)
def test_what_is_not_told_by_the_values_own_keys_is_no_demand(written: object) -> None:
    assert demanded(written) == []


def test_zero_and_the_empty_string_are_demanded_as_any_other() -> None:
    assert demanded({"a": [0], "b": [""], "c": [False]}) == [
        Equality(("a",), frozenset({0.0})),
        Equality(("b",), frozenset({""})),
        Equality(("c",), frozenset({(False,)})),
    ]


def test_lists_on_the_way_are_looked_through_and_those_at_the_end_are_not() -> None:
    value = [{"a": [{"b": 1}, {"b": True}, {"c": 2}, [{"b": 3}], "text"]}, {"a": {"b": "x"}}]
    assert list(scalars_at(value, ("a", "b"))) == [1.0, (True,), "x"]
    assert scalars_at({"a": ["x"]}, ("a",)) == []
    assert scalars_at({"a": None}, ("a",)) == []
    assert scalars_at({}, ("a",)) == ()


def test_large_numbers_are_the_doubles_that_filters_compare() -> None:
    [demand] = demanded({"a": [9007199254740993]})
    assert set(scalars_at({"a": 9007199254740992}, demand.path)) == demand.scalars
    [infinite] = demanded({"a": [10**400]})
    assert set(scalars_at({"a": 10**500}, infinite.path)) == infinite.scalars


def test_no_filter_holds_whose_demands_are_not_met() -> None:
    held = met = demands = 0
    for line in islice(Pairs(20261125).lines(), 20_000):
        pair = json.loads(line)
        try:
            event_filter = parse_filter(pair["filter"], "filter")
        except InvalidFilter:
            continue
        of_filter = list(equalities(event_filter.tree))
        demands += len(of_filter)
        all_met = all(
            not each.scalars.isdisjoint(scalars_at(pair["payload"], each.path))
            for each in of_filter
        )
        met += all_met
        if CompiledFilter(event_filter).matches_member(pair["payload"]):
            held += 1
            assert all_met, line
    assert demands > 1_000
    assert held > 1_000
    assert met < 20_000
