"""How JavaScript sees JSON values: `undefined`, doubles, UTF-16 strings, the order of keys.

A JSON value is what a decoder gives: None, bool, int, float, str, list or dict, of exactly
these types.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

__all__ = [
    "MISSING",
    "Missing",
    "array_index",
    "code_unit",
    "has_surrogates",
    "is_number",
    "key_order",
    "to_double",
    "utf16",
    "utf16_length",
]


class Missing(Enum):
    """The type of MISSING."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""A property that is not there (`undefined`); null is None."""

_ARRAY_INDEX: Final = re.compile("0|[1-9][0-9]{0,9}", re.ASCII)
_MAX_ARRAY_INDEX: Final = 2**32 - 2
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def array_index(key: str) -> int | None:
    """The index that the key names in an array or a string; None when it is an ordinary key."""
    if _ARRAY_INDEX.fullmatch(key) is None:
        return None
    index = int(key)
    return index if index <= _MAX_ARRAY_INDEX else None


def key_order(keys: Iterable[str]) -> list[str]:
    """The order in which JavaScript walks an object: indexes ascending, then as inserted."""
    indexes: list[tuple[int, str]] = []
    others: list[str] = []
    for key in keys:
        index = array_index(key)
        if index is None:
            others.append(key)
        else:
            indexes.append((index, key))
    return [key for _, key in sorted(indexes)] + others


def is_number(value: object) -> bool:
    """Whether the value is a number; true and false are not."""
    return type(value) is int or type(value) is float


def to_double(number: float) -> float:
    """The double that JavaScript holds for a number in JSON."""
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def has_surrogates(text: str) -> bool:
    """Whether the text has half of a pair, which only UTF-16 can hold."""
    return _SURROGATE.search(text) is not None


def utf16(text: str) -> bytes:
    """The text in UTF-16, two bytes for each of JavaScript's characters."""
    return text.encode("utf-16-le", "surrogatepass")


def utf16_length(text: str) -> int:
    """The length of the text in UTF-16 code units."""
    return len(text) if text.isascii() else len(utf16(text)) // 2


def code_unit(text: str, index: int) -> str | None:
    """The code unit at the index, perhaps half of a pair; None beyond the end."""
    if text.isascii():
        return text[index] if index < len(text) else None
    unit = utf16(text)[2 * index : 2 * index + 2]
    return chr(int.from_bytes(unit, "little")) if unit else None
