"""Equal but for the case, letter by letter, as event patterns take it.

Unlike `$ignoreCaseEquals` this compares characters one by one and keeps lengths, so that it can be
asked of the beginning and the end of a text; composed and decomposed letters differ.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

__all__ = [
    "ends_with_ignoring_case",
    "equals_ignoring_case",
    "fold_letters",
    "starts_with_ignoring_case",
]

_Check: TypeAlias = Callable[[object], bool]
_Fold: TypeAlias = Callable[[str], str]
"""fold_letters, or one that remembers."""


def equals_ignoring_case(wanted: str, fold: _Fold) -> _Check:
    """Whether a value is this text but for the case."""
    length, folded = len(wanted), fold(wanted)
    return lambda value: type(value) is str and len(value) == length and fold(value) == folded


def starts_with_ignoring_case(wanted: str, fold: _Fold) -> _Check:
    """Whether a value begins with this text but for the case."""
    length, folded = len(wanted), fold(wanted)
    return lambda value: type(value) is str and fold(value[:length]) == folded


def ends_with_ignoring_case(wanted: str, fold: _Fold) -> _Check:
    """Whether a value ends with this text but for the case."""
    length, folded = len(wanted), fold(wanted)
    return lambda value: (
        type(value) is str and len(value) >= length and fold(value[len(value) - length :]) == folded
    )


def fold_letters(text: str) -> str:
    """The same for all texts that are equal but for the case; as long as the text."""
    return text.lower() if text.isascii() else "".join(map(_fold_character, text))


@lru_cache(maxsize=4_096)
def _fold_character(character: str) -> str:
    # Upper first: the two lower forms of sigma are one letter.
    upper = character.upper()
    lower = (upper if len(upper) == 1 else character).lower()
    return lower if len(lower) == 1 else character
