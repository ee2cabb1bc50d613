"""Filters and payloads by a seed: filters are made from what stands in the payload, or nearly.

Chosen so that every operator meets every kind of value, and that each says yes, says no and is
refused by the schema often enough.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

KEYS = ("a", "b", "user", "order.id", "$gt", "", "é", "0", "1", "length", "payload")
# What JavaScript's values inherit, and what the schema never copies.
INHERITED = (
    *("constructor", "toString", "__proto__", "name", "hasOwnProperty", "valueOf", "at"),
    *("prototype", "caller", "arguments", "call", "flat", "toFixed", "keys", "isArray"),
)
STRINGS = (
    *("", "a", "A", "ab", "abc", "1", "true", "null", "É", "é", "E\u0301", "e", "ß", "ss"),
    *("STRASSE", "straße", "ﬁ", "FI", "ǆ", "Ǆ", "İ", "i\u0307", "ı", "I", "Σ", "ς", "σ"),
    *("½", "1⁄2", "a\u00ad", "\u200ba", "😀", "\ud83d", "日本", "ｶ", "か", "カ", "٣", "3", " a"),
)
NUMBERS: tuple[float, ...] = (
    *(0, -0.0, 1, 1.0, -1, 2, 3.5, 10, 1e21, 1e-7, 2**53, 2**53 + 1, -(2**63), 10**30, 5e-324),
    *(1.7976931348623157e308, 0.1 + 0.2, 0.3),
)
COMPARISONS = ("$gt", "$lt", "$gte", "$lte")
TEXTS = ("$startsWith", "$endsWith", "$ignoreCaseEquals")
OPERATORS = (
    *(*TEXTS, "$exists", "$isNull", "$anythingBut"),
    *(*COMPARISONS, "$between", "$includes", "$not"),
)
DEEPEST = 3


class Pairs:
    """An endless row of pairs; the same seed gives the same row."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def lines(self) -> Iterator[str]:
        """Each pair as JSON, `{"payload": ..., "filter": ...}`."""
        while True:
            payload = self._payload()
            written = self._filter(payload, DEEPEST)
            if self._happens(0.12):
                written = self._spoiled(written)
            yield json.dumps({"payload": payload, "filter": written})

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    # payloads

    def _payload(self) -> Any:
        if self._happens(0.08):
            return self._value(DEEPEST)
        return self._object(DEEPEST)

    def _object(self, depth: int) -> dict[str, Any]:
        return {self._key(): self._value(depth - 1) for _ in range(self._random.randrange(5))}

    def _key(self) -> str:
        return self._random.choice(INHERITED if self._happens(0.04) else KEYS)

    def _value(self, depth: int) -> Any:
        kind = self._random.randrange(10)
        if kind < 2 and depth > 0:
            return self._object(depth)
        if kind < 4 and depth > 0:
            return self._list(depth)
        return self._scalar(nullable=True)

    def _list(self, depth: int) -> list[Any]:
        length = self._random.randrange(4)
        if self._happens(0.5):
            return self._scalars(length)
        return [self._value(depth - 1) for _ in range(length)]

    def _scalar(self, *, nullable: bool = False) -> Any:
        kind = self._random.randrange(7 if nullable else 6)
        if kind < 3:
            return self._string()
        if kind < 5:
            return self._number()
        return self._happens(0.5) if kind == 5 else None

    def _string(self) -> str:
        if self._happens(0.85):
            return self._random.choice(STRINGS)
        return "".join(self._random.choices(STRINGS, k=2))

    def _number(self) -> float:
        if self._happens(0.7):
            return self._random.choice(NUMBERS)
        return self._random.choice((self._random.randint(-5, 5), self._random.uniform(-5, 5)))

    def _scalars(self, length: int) -> list[Any]:
        makes: tuple[Callable[[], Any], ...] = (
            self._string,
            self._number,
            lambda: self._happens(0.5),
        )
        make = self._random.choice(makes)
        return [make() for _ in range(length)]

    # filters

    def _filter(self, value: Any, depth: int) -> dict[str, Any]:
        """A filter on what is there, on what is missing, and on what strings and lists have."""
        if isinstance(value, list) and value and self._happens(0.8):
            return self._filter(self._random.choice(value), depth)
        members = value if isinstance(value, dict) else {}
        wanted = [key for key in members if self._happens(0.6)]
        if not wanted or self._happens(0.1):
            wanted.append(self._key())
        return {
            key: self._inherited(depth - 1)
            if key in INHERITED and key not in members
            else self._on(members.get(key), depth - 1)
            for key in wanted[:2]
        }

    def _inherited(self, depth: int) -> Any:
        """A filter on what a built-in object has."""
        if depth > 0 and self._happens(0.7):
            key = self._random.choice((*INHERITED, "length"))
            return {key: self._inherited(depth - 1)}
        names = ("Object", "Array", "String", "Number", "Function", "toString", "call", "at", "")
        return self._random.choice(
            ([self._random.choice(names)], [0, 1, 2], [{"$exists": self._happens(0.5)}])
        )

    def _on(self, value: Any, depth: int) -> Any:
        """What a filter asks of one member."""
        nested = isinstance(value, dict | list)
        if depth > 0 and self._happens(0.6 if nested else 0.08):
            return {} if self._happens(0.1) else self._filter(value, depth)
        if self._happens(0.04):
            return []
        if self._happens(0.25):
            return self._alternatives(value)
        return [self._operator(value) for _ in range(self._random.choice((1, 1, 1, 1, 2)))]

    def _alternatives(self, value: Any) -> list[Any]:
        if value is None or isinstance(value, dict | list) or self._happens(0.3):
            return self._scalars(self._random.randrange(1, 4))
        others = [value, *(self._like(value) for _ in range(self._random.randrange(3)))]
        self._random.shuffle(others)
        return others

    def _like(self, value: Any) -> Any:
        """Another value of the same kind."""
        if isinstance(value, bool):
            return self._happens(0.5)
        if isinstance(value, str):
            return self._string()
        return self._number()

    def _operator(self, value: Any) -> dict[str, Any]:
        """One operator, now and then with others beside it: only one of them counts."""
        written = {}
        for _ in range(2 if self._happens(0.1) else 1):
            name = self._random.choice(self._fitting(value) if self._happens(0.8) else OPERATORS)
            written[name] = self._operand(name, value)
        if self._happens(0.03):
            written["extra"] = self._scalar(nullable=True)
        return written

    def _fitting(self, value: Any) -> tuple[str, ...]:
        anywhere = ("$exists", "$isNull", "$anythingBut", "$not")
        if isinstance(value, bool) or value is None:
            return anywhere
        if isinstance(value, str):
            return (*TEXTS, *TEXTS, *anywhere)
        if isinstance(value, int | float):
            return (*COMPARISONS, "$between", "$between", *anywhere)
        return ("$includes", "$includes", "$includes", *anywhere)

    def _operand(self, name: str, value: Any) -> Any:
        if self._happens(0.03):
            return self._value(1)
        if name in TEXTS:
            return self._text(name, value)
        if name in {"$exists", "$isNull"}:
            return self._happens(0.5)
        if name in COMPARISONS:
            return self._near(value)
        if name == "$between":
            bounds = [self._near(value), self._near(value)]
            return bounds if self._happens(0.3) else sorted(bounds)
        return self._member(name, value)

    def _member(self, name: str, value: Any) -> Any:
        """What $includes, $not and $anythingBut name."""
        if name == "$anythingBut" and self._happens(0.5):
            return self._alternatives(value)
        if isinstance(value, list):
            scalars = [each for each in value if isinstance(each, str | int | float)]
            if scalars and self._happens(0.6):
                return self._random.choice(scalars)
            return self._scalar()
        if value is None or isinstance(value, dict) or self._happens(0.5):
            return self._scalar()
        return value

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str) or self._happens(0.4):
            return self._string()
        if name == "$ignoreCaseEquals":
            return self._random.choice((value.upper(), value.lower(), value.swapcase(), value))
        cut = self._random.randrange(len(value) + 1)
        return value[:cut] if name == "$startsWith" else value[cut:]

    def _near(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or self._happens(0.3):
            return self._number()
        return self._random.choice((value, value - 1, value + 1))

    # what is no filter

    def _spoiled(self, written: Any) -> Any:
        """The filter with something in one place that the schema refuses, or perhaps does not."""
        places = list(places_of(written))
        if not places or self._happens(0.05):
            return self._value(1)
        holder, key = self._random.choice(places)
        holder[key] = self._random.choice(
            (
                lambda: self._scalar(nullable=True),
                lambda: [None],
                lambda: [{}],
                lambda: ["a", 1],
                lambda: [1, True],
                lambda: [[1]],
                lambda: [{"$or": [{"a": [1]}]}],
                lambda: {"$gt": 5},
                lambda: [{"$between": [1]}],
                lambda: [{"$between": [1, 2, 3]}],
                lambda: [{"$anythingBut": ["a", 1]}],
                lambda: [{"$not": ["a"]}],
                lambda: [{"$gt": 1}, "a"],
                lambda: [{"$GT": 1}],
            )
        )()
        return written


def places_of(written: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a filter where something else may be put: its holder and its key there."""
    if isinstance(written, dict | list):
        for key in list(written) if isinstance(written, dict) else range(len(written)):
            yield written, key
            yield from places_of(written[key])
