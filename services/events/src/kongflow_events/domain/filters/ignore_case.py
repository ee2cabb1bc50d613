"""What `$ignoreCaseEquals` takes as equal: JavaScript's localeCompare with sensitivity "accent".

Case does not count and accents do; composed equals decomposed, the ligature "ﬁ" equals "FI",
"ß" does not equal "ss". Two strings are equal when their keys are.
The rules are in docs/behaviour/filters.md#ignore-case.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Final
from unicodedata import combining, normalize

__all__ = ["ignore_case_key"]

_CLASSES: Final = "ignore_case_classes.txt"

# Control characters but tab and the line ends count for nothing.
_IGNORED_ASCII: Final = dict.fromkeys([*range(0x09), *range(0x0E, 0x20), 0x7F])


def ignore_case_key(text: str) -> str:
    """A string that is the same for all strings that `$ignoreCaseEquals` takes as equal."""
    if not text.isascii():
        return _key(text)
    lower = text.lower()
    return lower if lower.isprintable() else lower.translate(_IGNORED_ASCII)


# One large value of an event meets the filters of many dispatchers.
@lru_cache(maxsize=16)
def _key(text: str) -> str:
    classes = _load_classes()
    decomposed = normalize("NFD", text)
    if not classes.second_of_joined.isdisjoint(decomposed):
        decomposed = _join(decomposed, classes.joined)
    return classes.swapped.sub(_swap, decomposed).translate(classes.same)


def _join(text: str, joined: Mapping[str, Mapping[str, str]]) -> str:
    """Replace each base and mark that are a letter of their own by that letter.

    Marks that stand between the two and attach elsewhere to the base do not keep them apart.
    """
    characters = list(text)
    position = 0
    while position < len(characters):
        marks = joined.get(characters[position])
        if marks is None or not _join_at(characters, position, marks):
            position += 1
    return "".join(characters)


def _join_at(characters: list[str], position: int, marks: Mapping[str, str]) -> bool:
    """Join the base at the position with its first mark that fits; False if there is none."""
    last_class = 0
    for following in range(position + 1, len(characters)):
        mark = characters[following]
        mark_class = combining(mark)
        letter = marks.get(mark)
        if letter is not None and (following == position + 1 or last_class < mark_class):
            characters[position] = letter
            del characters[following]
            return True
        if mark_class == 0:
            return False
        last_class = mark_class
    return False


def _swap(match: re.Match[str]) -> str:
    return match[0][::-1]


@dataclass(frozen=True, slots=True)
class _Classes:
    """The content of the data file.

    `same` maps characters to what stands for all that equal them. `joined` has, by base and by
    mark, the letter that the two are. `swapped` finds vowels that are written before their
    consonant and count after it.
    """

    same: dict[int, str]
    joined: dict[str, dict[str, str]]
    second_of_joined: frozenset[str]
    swapped: re.Pattern[str]


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
    seconds = frozenset(mark for marks in joined.values() for mark in marks)
    swapped = "|".join(map(_swapped_pattern, sections["swapped"]))
    return _Classes(same, joined, seconds, re.compile(swapped))


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


def _swapped_pattern(line: str) -> str:
    """`0e40-0e44 before 0e01-0e2e` as a pattern of a vowel and a consonant."""
    vowels, _, consonants = line.partition(" before ")
    return "".join(
        f"[{''.join(chr(each) for token in part.split() for each in _characters(token))}]"
        for part in (vowels, consonants)
    )
