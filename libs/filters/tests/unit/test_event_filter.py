"""Reading filters: what is refused and where, what is kept, what is warned about."""

import pytest

from kongflow_filters import FilterWarning, InvalidFilter, parse_filter
from kongflow_filters.event_filter import MAX_DEPTH
from kongflow_filters.operators import OPERATORS


@pytest.mark.parametrize(
    ("written", "path", "reason"),
    [
        (None, "", "must be an object, not null"),
        ([], "", "must be an object, not a list"),
        ({"a": 1}, "a", "not a number"),
        ({"a": True}, "a", "not a boolean"),
        ({"a": "x"}, "a", "not a string"),
        ({"a": {"b": None}}, "a.b", "not null"),
        ({"a": {"$gt": 5}}, "a.$gt", "must be a list of conditions or an object"),
        ({"$or": [{"a": ["x"]}]}, "$or[0]", "has no operator"),
        ({"a": [None]}, "a[0]", "this is null"),
        ({"a": [{}]}, "a[0]", "has no operator"),
        ({"a": [{"$gte": 1}, {"$regex": "x"}]}, "a[1]", "has no operator"),
        ({"a": ["x", 1]}, "a[0]", "this is a string"),
        ({"a": [{"$gt": 1}, 7]}, "a[1]", "this is a number"),
        ({"a": [1, True]}, "a[0]", "this is a number"),
        ({"a": [{"$gt": True}]}, "a[0].$gt", "must be a number"),
        ({"a": [{"$gt": float("nan")}]}, "a[0].$gt", "must be a number"),
        ({"a": [float("nan")]}, "a[0]", "this is NaN"),
        ({"a": [{"$between": [1, 2, 3]}]}, "a[0].$between", "a list of two numbers"),
        ({"a": [{"$anythingBut": ["x", 1]}]}, "a[0].$anythingBut", "a list of one of these kinds"),
        ({"a": [{"$exists": 1}]}, "a[0].$exists", "must be true or false"),
        ({"__proto__": 1}, "__proto__", "not a number"),
    ],
)
def test_a_filter_the_schema_refuses_is_refused_with_its_place(
    written: object, path: str, reason: str
) -> None:
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(written)
    assert refused.value.path == path
    assert reason in refused.value.reason


def test_paths_begin_with_the_name_of_the_field() -> None:
    with pytest.raises(InvalidFilter, match=r"^payload\.user\.age\[0\]: "):
        parse_filter({"user": {"age": [{}]}}, "payload")


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        (["a", "b"], "payload_filter.a.b"),
        (["a.b"], 'payload_filter["a.b"]'),
        (["a", ""], 'payload_filter.a[""]'),
        (["a[0]", "b"], 'payload_filter["a[0]"].b'),
        (['"', "two words"], 'payload_filter["\\""]["two words"]'),
        (["$", "\u00e9-1", "0"], "payload_filter.$.\u00e9-1.0"),
        ([".".join("k" * 100)], 'payload_filter["' + "k." * 31 + 'k\u2026"]'),
    ],
)
def test_no_two_places_have_the_same_path(keys: list[str], path: str) -> None:
    written: object = 1
    for key in reversed(keys):
        written = {key: written}
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(written, "payload_filter")
    assert refused.value.path == path
    # Steps of the field that a filter stands in are no keys.
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(written, "event_dispatcher.payload_filter")
    assert refused.value.path == f"event_dispatcher.{path}"


def test_who_has_time_may_ask_for_more_levels() -> None:
    written: dict[str, object] = {"a": [1]}
    for _ in range(MAX_DEPTH - 2):
        written = {"a": written}
    assert parse_filter(written).tree == parse_filter(written, max_depth=MAX_DEPTH).tree
    deeper = {"a": written}
    with pytest.raises(InvalidFilter, match=f"deeper than {MAX_DEPTH} levels"):
        parse_filter(deeper)
    assert parse_filter(deeper, max_depth=MAX_DEPTH + 1).tree["a"] == parse_filter(written).tree


def test_long_keys_are_shortened_in_paths() -> None:
    with pytest.raises(InvalidFilter) as refused:
        parse_filter({"k" * 100_000: 1})
    assert len(refused.value.path) == 64


@pytest.mark.parametrize("kept", list(OPERATORS))
def test_q10_of_several_operators_the_first_in_schema_order_counts(kept: str) -> None:
    operands: dict[str, object] = {
        "$endsWith": "x",
        "$startsWith": "x",
        "$ignoreCaseEquals": "x",
        "$exists": True,
        "$isNull": True,
        "$between": [1, 2],
    }
    later = list(OPERATORS)[list(OPERATORS).index(kept) :]
    written = {name: operands.get(name, 1) for name in reversed(later)}
    parsed = parse_filter({"a": [written]}, "payload")
    assert parsed.tree == {"a": ({kept: operands.get(kept, 1)},)}
    ignored = tuple(name for name in written if name != kept)
    assert parsed.warnings == ((FilterWarning("payload.a[0]", kept, ignored),) if ignored else ())


def test_q10_an_operator_whose_operand_does_not_fit_is_passed_over_with_a_warning() -> None:
    parsed = parse_filter({"a": [{"$endsWith": 5, "$gt": 3}]})
    assert parsed.tree == {"a": ({"$gt": 3},)}
    [warning] = parsed.warnings
    assert warning.message == (
        "a[0]: only $gt counts, $endsWith is ignored; write each operator in an object of its own"
    )


def test_unknown_keys_beside_an_operator_are_dropped_with_a_warning() -> None:
    parsed = parse_filter({"a": [{"$gt": 3, "note": "x"}]})
    assert parsed.tree == {"a": ({"$gt": 3},)}
    assert parsed.warnings == (FilterWarning("a[0]", "$gt", ("note",)),)


def test_of_many_keys_that_are_dropped_the_first_are_told() -> None:
    written = {"a": [{"$gt": 1, **{f"k{number:02}": 0 for number in range(40)}}]}
    [warning] = parse_filter(written).warnings
    assert len(warning.ignored) == 40
    assert "k08, k09 and 30 more is ignored" in warning.message


def test_a_filter_on_proto_is_dropped_with_a_warning() -> None:
    parsed = parse_filter({"user": {"__proto__": ["x"], "id": [1]}})
    assert parsed.tree == {"user": {"id": (1,)}}
    [warning] = parsed.warnings
    assert warning == FilterWarning("user", "", ("__proto__",))
    assert "__proto__ is ignored" in warning.message


def test_keys_are_walked_in_javascripts_order() -> None:
    parsed = parse_filter({"b": [], "10": [], "a": [], "2": [], "01": [], "4294967295": []})
    assert list(parsed.tree) == ["2", "10", "b", "a", "01", "4294967295"]


def nested(levels: int) -> object:
    written: object = {}
    for _ in range(levels - 1):
        written = {"a": written}
    return written


def test_a_filter_may_be_nested_to_the_limit_and_no_deeper() -> None:
    parse_filter(nested(MAX_DEPTH))
    with pytest.raises(InvalidFilter, match=f"deeper than {MAX_DEPTH} levels"):
        parse_filter(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidFilter, match=f"deeper than {MAX_DEPTH} levels"):
        parse_filter(nested(100_000))


def test_the_lists_of_a_filter_count_as_levels() -> None:
    written: object = [{"$gt": 1}]
    for _ in range(MAX_DEPTH - 2):
        written = {"a": written}
    parse_filter(written)
    with pytest.raises(InvalidFilter, match="deeper than"):
        parse_filter({"a": written})
