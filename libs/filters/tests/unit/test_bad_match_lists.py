"""What is no match list and what are no alternatives is refused with its place."""

from typing import Any

import pytest

from kongflow_filters import InvalidFilter, parse_filter


@pytest.mark.parametrize(
    ("operand", "path", "reason"),
    [
        ("x", "", "must be a list of values"),
        ([], "", "must be a list of values"),
        ([["x"]], "[0]", "must be a string, number, boolean, null or a matcher"),
        ([1, {}], "[1]", "must have one matcher of prefix"),
        ([{"prefix": "a", "suffix": "b"}], "[0]", "and nothing else"),
        ([{"regex": "a"}], "[0]", "must have one matcher"),
        ([{"prefix": 1}], "[0].prefix", "must be a string or"),
        ([{"suffix": {"equals-ignore-case": 1}}], "[0].suffix.equals-ignore-case", "a string"),
        ([{"suffix": {"wildcard": "a"}}], "[0].suffix", "must be a string or"),
        ([{"equals-ignore-case": ["a"]}], "[0].equals-ignore-case", "must be a string"),
        ([{"wildcard": "a**b"}], "[0].wildcard", "two stars"),
        ([{"wildcard": "a\\b"}], "[0].wildcard", "a backslash stands only before"),
        ([{"wildcard": "a\\"}], "[0].wildcard", "a backslash stands only before"),
        ([{"wildcard": 5}], "[0].wildcard", "must be a string"),
        ([{"cidr": "10.0.0.0"}], "[0].cidr", "IPv4 or IPv6"),
        ([{"cidr": "10.0.0.0/33"}], "[0].cidr", "IPv4 or IPv6"),
        ([{"cidr": "10.0.0.0/255.0.0.0"}], "[0].cidr", "IPv4 or IPv6"),
        ([{"numeric": []}], "[0].numeric", 'must be ["=", number]'),
        ([{"numeric": ["!=", 1]}], "[0].numeric[0]", 'must be ["=", number]'),
        ([{"numeric": ["<", 5, ">", 1]}], "[0].numeric", 'must be ["=", number]'),
        ([{"numeric": [">", "1"]}], "[0].numeric[1]", "must be a number"),
        ([{"numeric": [">", 5, "<", 5]}], "[0].numeric", "no number is above"),
        ([{"numeric": [">", 1, "<"]}], "[0].numeric", 'must be ["=", number]'),
        ([{"exists": "yes"}], "[0].exists", "must be true or false"),
        ([{"anything-but": None}], "[0].anything-but", "must be a string, number"),
        ([{"anything-but": []}], "[0].anything-but", "must not be empty"),
        ([{"anything-but": ["a", None]}], "[0].anything-but[1]", "must be a string, number"),
        ([{"anything-but": {"cidr": "10.0.0.0/8"}}], "[0].anything-but", "must have one matcher"),
        ([{"anything-but": {"prefix": ["a", 1]}}], "[0].anything-but.prefix[1]", "must be a str"),
        ([{"anything-but": {"wildcard": "**"}}], "[0].anything-but.wildcard", "two stars"),
        (["x"] * 1_001, "", "at most 1000"),
        ([float("inf")], "[0]", "must be a string, number"),
    ],
)
def test_what_is_no_match_list_is_refused_with_its_place(
    operand: object, path: str, reason: str
) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter({"a": [{"$exists": True}, {"$kongflow": operand}]}, "payload_filter")
    assert caught.value.path == f"payload_filter.a[1].$kongflow{path}"
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("items", "path"),
    [
        ([{"$or": []}], "$kongflow[0].$or"),
        ([{"$or": {"a": ["x"]}}], "$kongflow[0].$or"),
        ([{"$or": [{"a": ["x"]}], "b": 1}], "$kongflow[0]"),
        ([{"$or": [{"a": ["x"]}]}, "x"], "$kongflow[1]"),
        ([{"$or": [{"a": ["x"]}, {"a": 5}]}], "$kongflow[0].$or[1].a"),
        ([{"$or": [None]}], "$kongflow[0].$or[0]"),
    ],
)
def test_what_are_no_alternatives_is_refused_with_its_place(items: object, path: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter({"$kongflow": items})
    assert caught.value.path == path


def test_alternatives_may_not_be_nested_without_end() -> None:
    nested: dict[str, Any] = {"a": ["x"]}
    for _ in range(100):
        nested = {"$kongflow": [{"$or": [nested]}]}
    with pytest.raises(InvalidFilter, match="deeper than 200 levels"):
        parse_filter(nested)


def test_a_filter_has_at_most_a_hundred_wildcards() -> None:
    def of(number: int) -> dict[str, Any]:
        several = {"anything-but": {"wildcard": ["a*"] * (number - 2)}}
        return {
            "a": [{"$kongflow": [{"wildcard": "a*"}, several]}],
            "b": [{"$kongflow": [{"wildcard": "b*"}]}],
        }

    parse_filter(of(100))
    with pytest.raises(InvalidFilter, match="more than 100 wildcards") as caught:
        parse_filter(of(101))
    assert caught.value.path == "b[0].$kongflow"
