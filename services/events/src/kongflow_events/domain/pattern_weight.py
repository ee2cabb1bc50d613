"""How much work a regular expression may make of a text, told from how it is written.

The engine knows no back-tracking: it goes through a text once and holds, at each byte, every place
of the expression that may be reached there. Its work is at most the sum of these places, once all
repetitions are written out: of `a[ab]{100}c` a hundred, at each byte. One that begins with `^` and
has no part of an open length is at few places at a time, and soon at none: `^.{1,255}$`.
"""

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["MOST_PLACES", "PatternWeight", "weight_of_pattern"]

MOST_PLACES: Final = 5_000
"""Of one expression."""

_OPEN: Final = 1 << 60
_MOST_NESTED: Final = 100
_MOST_BYTES: Final = 4
"""Of one character."""
_START: Final = 100
"""What it takes to begin, in places."""

_OF_SCRIPTS: Final = 20
"""Places of a class such as `\\p{L}`, which is made of some hundred ranges."""

_SCRIPT: Final = re.compile(r"\\[pP]")
_COUNT: Final = re.compile(r"\{\s*([0-9]+)\s*(?:(,)\s*([0-9]*)\s*)?\}", re.ASCII)
_BRACED: Final = re.compile(r"\{[^}]*\}")
_GROUP: Final = re.compile(r"\?(?::|P?<[^>]*>|([a-zA-Z-]*)(?=[:)]):?)")
_MOST_DIGITS: Final = 6
_SIMPLE: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True, slots=True)
class PatternWeight:
    """`places` in all, `open` of them wherever one is in a text, the others `closed` times in all.

    The last is in characters.
    """

    places: int
    open: int
    closed: int

    @property
    def is_too_large(self) -> bool:
        """Whether it is one that no schema may have."""
        return self.places > MOST_PLACES

    def work(self, length: int) -> int:
        """How many places are looked at in a text of so many bytes, at most."""
        return _START + min(self.places * length, self.open * length + _MOST_BYTES * self.closed)


def weight_of_pattern(pattern: str) -> PatternWeight:
    """The weight; of what is no expression any.

    A bracket inside of a class is a character in some dialects and a class of its own in others:
    what weighs more counts.
    """
    weights = [
        _weight(pattern, nested) for nested in ((False, True) if "[" in pattern else (False,))
    ]
    return max(weights, key=lambda each: (each.places, each.open))


def _weight(pattern: str, nested_classes: bool) -> PatternWeight:
    parser = _Parser(pattern, nested_classes)
    try:
        node = parser.alternatives()
    except _TooNested:
        return PatternWeight(_OPEN, _OPEN, 0)
    if parser.is_verbose:
        # What is white space and what is not is no longer known.
        return PatternWeight(_OPEN, _OPEN, 0)
    if node.size > MOST_PLACES:
        return PatternWeight(node.size, node.size, 0)
    places = _Places(parser.has_lines)
    places.visit(node, (0, _OPEN))
    return PatternWeight(node.size, places.open, places.closed)


@dataclass(slots=True)
class _Node:
    """`kind` is `.` for a character, `^`, empty for what has no length, `(`, `|`, `&` or `*`."""

    kind: str
    size: int = 1
    inner: "list[_Node]" = field(default_factory=list)
    least: int = 1
    most: int | None = 1


class _TooNested(Exception):
    pass


class _Parser:
    """Reads what it knows, and takes the rest for characters."""

    def __init__(self, pattern: str, nested_classes: bool) -> None:
        self._pattern = pattern
        self._nested_classes = nested_classes
        self._at = 0
        self._depth = 0
        self.has_lines = False
        """Whether `^` may stand for the beginning of any line."""
        self.is_verbose = False

    def alternatives(self) -> _Node:
        found = [self._sequence()]
        # At the top a bracket may close nothing; then it is no expression.
        while self._peek() == "|" or (self._depth == 0 and self._peek()):
            self._at += 1
            found.append(self._sequence())
        return found[0] if len(found) == 1 else _Node("|", 1 + sum(x.size for x in found), found)

    def _sequence(self) -> _Node:
        found: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            found.append(self._repeated())
        return _Node("&", 1 + sum(each.size for each in found), found)

    def _repeated(self) -> _Node:
        node = self._one()
        while True:
            least: int
            most: int | None
            character = self._peek()
            if character in _SIMPLE:
                self._at += 1
                least, most = _SIMPLE[character]
            elif (match := _COUNT.match(self._pattern, self._at)) is not None:
                self._at = match.end()
                least = _number(match[1])
                most = least if match[2] is None else _number(match[3]) if match[3] else None
            else:
                return node
            times = max(least if most is None else most, 1)
            node = _Node("*", 1 + min(node.size * times, _OPEN), [node], least, most)

    def _one(self) -> _Node:
        character = self._peek()
        self._at += 1
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character == "^":
            return _Node("^")
        return _Node("" if character == "$" else ".")

    def _group(self) -> _Node:
        match = _GROUP.match(self._pattern, self._at)
        if match is not None:
            self._at = match.end()
            set_flags = (match[1] or "").split("-")[0]
            self.has_lines |= "m" in set_flags
            self.is_verbose |= "x" in set_flags
            if match[0][-1] != ":" and match[1] is not None:
                # Flags for all that follows.
                self._at += 1
                return _Node("")
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise _TooNested
        inner = self.alternatives()
        self._depth -= 1
        self._at += 1
        return _Node("(", 1 + inner.size, [inner])

    def _escape(self) -> _Node:
        character = self._peek()
        self._at += 1
        is_position = character in ("b", "B", "A", "z", "Z", "<", ">")
        if is_position or character in ("p", "P", "x", "u", "U"):
            match = _BRACED.match(self._pattern, self._at)
            # A number may be how often it is repeated.
            if match is not None and _COUNT.match(match[0]) is None:
                self._at = match.end()
        if character == "A":
            return _Node("^")
        if character in ("p", "P"):
            return _Node(".", _OF_SCRIPTS)
        return _Node("" if is_position else ".")

    def _class(self) -> _Node:
        """Goes behind the bracket that ends it."""
        start = self._at
        if self._peek() == "^":
            self._at += 1
        depth = 1
        if self._nested_classes and self._peek() == "]":
            self._at += 1
        while depth and self._at < len(self._pattern):
            character = self._pattern[self._at]
            self._at += 2 if character == "\\" else 1
            if character == "]":
                depth -= 1
            elif character == "[" and self._nested_classes:
                depth += 1
        names_scripts = _SCRIPT.search(self._pattern, start, self._at) is not None
        return _Node(".", _OF_SCRIPTS if names_scripts else 1)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


class _Places:
    """Adds up at how many characters of a text each place may be reached."""

    def __init__(self, has_lines: bool) -> None:
        self._has_lines = has_lines
        self.open = 0
        self.closed = 0

    def visit(self, node: _Node, start: tuple[int, int]) -> tuple[int, int]:
        """From the first and the last character where it may begin, those where it may end."""
        kind = node.kind
        if kind == ".":
            self._count(start, node.size)
            return start[0] + 1, min(start[1] + 1, _OPEN)
        self._count(start)
        if kind == "^" and not self._has_lines:
            return 0, 0
        if kind in ("&", "("):
            for each in node.inner:
                start = self.visit(each, start)
        elif kind == "|":
            start = _any(*(self.visit(each, start) for each in node.inner))
        elif kind == "*":
            return self._repeat(node, start)
        return start

    def _repeat(self, node: _Node, start: tuple[int, int]) -> tuple[int, int]:
        [inner] = node.inner
        end = start
        copies = max(node.least, 1) if node.most is None else node.most
        for count in range(copies):
            if node.most is None and count == copies - 1:
                start = (start[0], _OPEN)
            start = self.visit(inner, start)
            end = start if count < node.least else _any(end, start)
        return (end[0], _OPEN) if node.most is None else end

    def _count(self, start: tuple[int, int], places: int = 1) -> None:
        if start[1] >= _OPEN:
            self.open += places
        else:
            self.closed += places * (start[1] - start[0] + 1)


def _any(*ranges: tuple[int, int]) -> tuple[int, int]:
    return min(each[0] for each in ranges), max(each[1] for each in ranges)
