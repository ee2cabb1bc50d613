"""The names of the events that a dispatcher takes: as they are written, or with stars."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, TypeVar

from kongflow_common.errors import InvalidField
from kongflow_filters import Wildcard

__all__ = ["NameMatch", "NamePattern", "NameTable", "check_names", "split_names", "to_like"]

Held = TypeVar("Held")

_LIKE_SPECIAL: Final = re.compile(r"[\\%_]")

_TRIED_BESIDES: Final = 2_000
"""Trying a pattern takes a fraction of a microsecond; asking a dispatcher takes several."""


class NameMatch(Enum):
    """How a dispatcher's names are read."""

    EXACT = "exact"
    """As they are written: a star is a star, as in the original."""

    WILDCARD = "wildcard"
    """A star stands for any characters."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A name with a star; equal to another that is written alike."""

    text: str
    wildcard: Wildcard = field(compare=False, repr=False)

    @property
    def ends(self) -> tuple[str, str]:
        """What a name begins and ends with."""
        return self.wildcard.prefix, self.wildcard.suffix or ""


def split_names(
    names: tuple[str, ...], name_match: NameMatch
) -> tuple[tuple[str, ...], tuple[NamePattern, ...]]:
    """The names that are meant literally, and the patterns.

    A name that is no pattern, where patterns are meant, takes nothing; see check_names.
    """
    if name_match is NameMatch.EXACT:
        return names, ()
    wildcards: list[tuple[str, Wildcard]] = []
    for name in names:
        with suppress(ValueError):
            wildcards.append((name, Wildcard(name)))
    return (
        tuple(each.prefix for _, each in wildcards if each.suffix is None),
        tuple(NamePattern(text, each) for text, each in wildcards if each.suffix is not None),
    )


def to_like(name: str) -> str:
    """A name that is a pattern, for PostgreSQL's LIKE."""
    wildcard = Wildcard(name)
    parts = [wildcard.prefix, *wildcard.middle]
    if wildcard.suffix is not None:
        parts.append(wildcard.suffix)
    return "%".join(_LIKE_SPECIAL.sub(r"\\\g<0>", part) for part in parts)


def check_names(names: tuple[str, ...], name_match: NameMatch) -> None:
    """Raises InvalidField for a name that is no pattern, where patterns are meant."""
    if name_match is NameMatch.EXACT:
        return
    for index, name in enumerate(names):
        try:
            Wildcard(name)
        except ValueError as error:
            raise InvalidField(f"event_dispatcher.event_names[{index}]", str(error)) from None


@dataclass(slots=True)
class _Ends(Generic[Held]):
    """What is held under texts of several lengths, so that few pieces of a name are looked up."""

    by_text: dict[str, Held] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)

    def put(self, text: str, held: Held) -> Held:
        self.by_text[text] = held
        self.lengths[len(text)] += 1
        return held

    def remove(self, text: str) -> None:
        del self.by_text[text]
        self.lengths[len(text)] -= 1
        if not self.lengths[len(text)]:
            del self.lengths[len(text)]


class NameTable(Generic[Held]):
    """Things held under patterns; those of a name are found by how it begins and ends.

    A name has one beginning and one end of each length, so its length bounds what is looked up,
    however many patterns there are. Only patterns of the same beginning and end, which differ
    between their stars, are tried one by one.
    """

    __slots__ = ("_by_prefix",)

    def __init__(self) -> None:
        self._by_prefix: _Ends[_Ends[dict[NamePattern, Held]]] = _Ends()

    def __bool__(self) -> bool:
        return bool(self._by_prefix.by_text)

    def get(self, pattern: NamePattern) -> Held | None:
        """What is held under a pattern."""
        prefix, suffix = pattern.ends
        by_suffix = self._by_prefix.by_text.get(prefix)
        alike = by_suffix.by_text.get(suffix) if by_suffix is not None else None
        return alike.get(pattern) if alike is not None else None

    def put(self, pattern: NamePattern, held: Held) -> None:
        """Holds this under the pattern."""
        prefix, suffix = pattern.ends
        by_suffix = self._by_prefix.by_text.get(prefix)
        if by_suffix is None:
            by_suffix = self._by_prefix.put(prefix, _Ends())
        alike = by_suffix.by_text.get(suffix)
        if alike is None:
            alike = by_suffix.put(suffix, {})
        alike[pattern] = held

    def remove(self, pattern: NamePattern) -> None:
        """Holds nothing under the pattern any more; something was."""
        prefix, suffix = pattern.ends
        by_suffix = self._by_prefix.by_text[prefix]
        alike = by_suffix.by_text[suffix]
        del alike[pattern]
        if not alike:
            by_suffix.remove(suffix)
        if not by_suffix.by_text:
            self._by_prefix.remove(prefix)

    def find(self, name: str, *, at_most: int) -> list[Held] | None:
        """What is held under patterns that the name is of; None when too many would be tried."""
        found: list[Held] = []
        tried = 0  # Ends that are looked up, and patterns that are compared.
        for length in self._by_prefix.lengths:
            by_suffix = self._by_prefix.by_text.get(name[:length]) if length <= len(name) else None
            if by_suffix is None:
                continue
            tried += len(by_suffix.lengths)
            for end in by_suffix.lengths:
                if end > len(name):
                    continue
                alike = by_suffix.by_text.get(name[len(name) - end :])
                if alike is None:
                    continue
                tried += len(alike)
                if tried > at_most + _TRIED_BESIDES:
                    return None
                found += [held for pattern, held in alike.items() if pattern.wildcard.matches(name)]
        return found
