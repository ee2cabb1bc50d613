"""What `$ignoreCaseEquals` takes as equal: JavaScript's localeCompare with sensitivity "accent".

Case does not count and accents do; composed equals decomposed, the ligature "ﬁ" equals "FI",
"ß" does not equal "ss". Two strings are equal when their keys are.
The rules are in docs/behaviour/filters.md#ignore-case.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final
from unicodedata import combining, normalize

__all__ = ["IgnoreCaseText", "ignore_case_key"]

_CLASSES: Final = "ignore_case_classes.txt"
_PIECE: Final = 256

# Control characters but tab and the line ends count for nothing.
_IGNORED_ASCII: Final = dict.fromkeys([*range(0x09), *range(0x0E, 0x20), 0x7F])


def ignore_case_key(text: str) -> str:
    """A string that is the same for all strings that are equal."""
    if text.isascii():
        lower = text.lower()
        return lower if lower.isprintable() else lower.translate(_IGNORED_ASCII)
    classes = _load_classes()
    decomposed = normalize("NFD", text)
    if not classes.following.isdisjoint(decomposed):
        decomposed = classes.swapped.sub(_swap, _join(decomposed, classes.joined))
    return decomposed.translate(classes.same)


class IgnoreCaseText:
    """A text to compare others with. Texts that are equal but for the case are equal objects."""

    __slots__ = ("_key",)

    def __init__(self, text: str, key_of: Callable[[str], str] = ignore_case_key) -> None:
        self._key = key_of(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IgnoreCaseText) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def equals(self, text: str, key_of: Callable[[str], str] = ignore_case_key) -> bool:
        """Whether the text is equal but for the case.

        A long text is compared piece by piece, so that a difference is found early. `key_of` is
        ignore_case_key, or one that remembers.
        """
        if len(text) <= _PIECE:
            return key_of(text) == self._key
        position = 0
        for piece in _pieces(text):
            key = key_of(piece)
            if not self._key.startswith(key, position):
                return False
            position += len(key)
        return position == len(self._key)


def _pieces(text: str) -> Iterator[str]:
    """The text cut where the key of what follows does not depend on what goes before."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        while end < len(text) and not _starts_anew(text[end]):
            end += 1
        yield text[start:end]
        start = end


def _starts_anew(character: str) -> bool:
    classes = _load_classes()
    first = normalize("NFD", character)[0]
    return combining(first) == 0 and first not in classes.following


def _join(text: str, joined: Mapping[str, Mapping[str, str]]) -> str:
    """Replace each base and mark that are a letter of their own by that letter."""
    result: list[str] = []
    rest = list(reversed(text))
    while rest:
        base = rest.pop()
        marks = joined.get(base)
        letter = None if marks is None else _take_mark(rest, marks)
        if letter is None:
            result.append(base)
        else:
            # It may be the base of another pair.
            rest.append(letter)
    return "".join(result)


def _take_mark(rest: list[str], marks: Mapping[str, str]) -> str | None:
    """The letter that a base is with its first mark that fits, which is taken away; else None.

    `rest` is what follows the base, in reverse. Marks that stand between and attach elsewhere
    to the base do not keep the two apart.
    """
    last_class = 0
    for position in range(len(rest) - 1, -1, -1):
        mark = rest[position]
        mark_class = combining(mark)
        letter = marks.get(mark)
        if letter is not None and (position == len(rest) - 1 or last_class < mark_class):
            del rest[position]
            return letter
        if mark_class == 0:
            return None
        last_class = mark_class
    return None


def _swap(match: re.Match[str]) -> str:
    return match[0][::-1]


@dataclass(frozen=True, slots=True)
class _Classes:
    """The content of the data file.

    `same` maps characters to what stands for all that equal them. `joined` has, by base and by
    mark, the letter that the two are. `swapped` finds vowels that are written before their
    consonant and count after it. `following` are the marks and consonants of these pairs.
    """

    same: dict[int, str]
    joined: dict[str, dict[str, str]]
    swapped: re.Pattern[str]
    following: frozenset[str]


@cache
def _load_classes() -> _Classes:
    sections: dict[str, list[str]] = {}
    data = resources.files(__package__).joinpath(_CLASSES).read_text("ascii")
    section: list[str] = []
    for line in data.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            section.append(line)
    same: dict[int, str] = {}
    for token in _tokens(sections["ignored"]):
        same.update(dict.fromkeys(_characters(token), ""))
    for token in _tokens(sections["same"]):
        same.update(_read_same(token))
    for token in _tokens(sections["expanded"]):
        character, _, expansion = token.partition(">")
        same[int(character, 16)] = _string(expansion)
    joined: dict[str, dict[str, str]] = {}
    for token in _tokens(sections["joined"]):
        pair, _, letter = token.partition(">")
        base, _, mark = pair.partition("+")
        joined.setdefault(_string(base), {})[_string(mark)] = _string(letter)
    pairs = [line.split(" before ") for line in sections["swapped"]]
    swapped = "|".join(
        f"[{_listed(vowels)}][{_listed(consonants)}]" for vowels, consonants in pairs
    )
    following = {mark for marks in joined.values() for mark in marks}
    for _, second in pairs:
        following.update(_listed(second))
    return _Classes(same, joined, re.compile(swapped), frozenset(following))


def _tokens(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield from line.split()


def _characters(token: str) -> range:
    """`0041`, `0041-005a` or, every second one, `0100-012e/2`."""
    span, _, step = token.partition("/")
    first, _, last = span.partition("-")
    return range(int(first, 16), int(last or first, 16) + 1, int(step or "1"))


def _read_same(token: str) -> Iterator[tuple[int, str]]:
    span, relation, target = re.split("([>=])", token)
    characters = _characters(span)
    first = int(target, 16)
    for character in characters:
        offset = 0 if relation == "=" else character - characters.start
        yield character, chr(first + offset)


def _string(token: str) -> str:
    return "".join(chr(int(character, 16)) for character in token.split("+"))


def _listed(tokens: str) -> str:
    return "".join(chr(each) for token in tokens.split() for each in _characters(token))
