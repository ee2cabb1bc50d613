"""Values as explanations show them."""

import json
from collections.abc import Iterator

import pytest

from kongflow_filters import MISSING, excerpt
from kongflow_filters.javascript_objects import OBJECT_PROTOTYPE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (10**30, "1" + "0" * 30),
        ("é\n", '"é\\n"'),
        ([], "[]"),
        ({"a": (1, "x"), "b": [{}]}, '{"a": [1, "x"], "b": [{}]}'),
    ],
)
def test_a_short_value_is_its_json(value: object, text: str) -> None:
    shown = excerpt(value, 100)
    assert (shown.text, shown.is_whole, shown.is_document) == (text, True, True)
    assert json.loads(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "value", ["\ud83d", {"\ud83d": 1}, float("inf"), MISSING, OBJECT_PROTOTYPE, [float("nan")]]
)
def test_what_is_no_document_is_shown_all_the_same(value: object) -> None:
    shown = excerpt(value, 100)
    assert shown.is_whole
    assert not shown.is_document
    # It can be written to a terminal and into a message.
    assert shown.text.encode()


@pytest.mark.parametrize("value", ["x" * 99, ["x"] * 33, {"k": "x" * 92}, {"k" * 96: 1}])
def test_a_long_value_is_cut(value: object) -> None:
    whole = json.dumps(value, ensure_ascii=False)
    shown = excerpt(value, 100)
    assert (shown.text, shown.is_whole, shown.is_document) == (whole[:100], False, False)
    assert excerpt(value, len(whole)).is_whole


def test_of_a_long_list_only_the_beginning_is_looked_at() -> None:
    class Watched(list[object]):
        seen = 0

        def __iter__(self) -> Iterator[object]:
            for each in super().__iter__():
                Watched.seen += 1
                yield each

    assert not excerpt(Watched(range(100_000)), 50).is_whole
    assert Watched.seen < 50
