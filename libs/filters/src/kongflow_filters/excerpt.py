"""Values as explanations show them: their JSON text, as much of it as there is room for."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from kongflow_filters.javascript_objects import BuiltInObject
from kongflow_filters.javascript_values import MISSING, has_surrogates

__all__ = ["BUILT_IN", "Excerpt", "excerpt"]

BUILT_IN = "a built-in object of JavaScript"
"""What is shown of one."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The JSON text of a value, or the beginning of it.

    `is_document`: the text is whole, and every JSON parser reads it.
    """

    text: str
    is_whole: bool
    is_document: bool


def excerpt(value: object, limit: int) -> Excerpt:
    """The first `limit` characters of the value's JSON text; the rest is not even written.

    The value is one of JSON or of a filter, or what JavaScript's values inherit.
    """
    pieces: list[str] = []
    length, is_json = 0, True
    for piece, is_piece_of_json in _pieces(value, limit):
        pieces.append(piece)
        length += len(piece)
        is_json = is_json and is_piece_of_json
        if length > limit:
            return Excerpt("".join(pieces)[:limit], is_whole=False, is_document=False)
    return Excerpt("".join(pieces), is_whole=True, is_document=is_json)


def _pieces(value: object, limit: int) -> Iterator[tuple[str, bool]]:
    """Pieces of the text, each with whether it is JSON."""
    if type(value) is str:
        yield _string(value, limit)
    elif isinstance(value, Mapping):
        yield "{", True
        for index, (key, member) in enumerate(cast("Mapping[str, object]", value).items()):
            text, is_json = _string(key, limit)
            yield f"{', ' if index else ''}{text}: ", is_json
            yield from _pieces(member, limit)
        yield "}", True
    elif isinstance(value, list | tuple):
        yield "[", True
        for index, element in enumerate(cast("Sequence[object]", value)):
            if index:
                yield ", ", True
            yield from _pieces(element, limit)
        yield "]", True
    elif isinstance(value, BuiltInObject):
        yield BUILT_IN, False
    elif value is MISSING:
        yield "undefined", False
    elif type(value) is float and not math.isfinite(value):
        yield json.dumps(value), False
    else:
        yield json.dumps(value), True


def _string(text: str, limit: int) -> tuple[str, bool]:
    # What is cut off here would be cut off of the whole.
    text = text[: limit + 1]
    is_lone = has_surrogates(text)
    return json.dumps(text, ensure_ascii=is_lone), not is_lone
