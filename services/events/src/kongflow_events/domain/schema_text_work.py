"""How much work the patterns and formats of a schema make of the texts of a payload.

Told before it is done: walks the schema together with the payload, as checking does, and goes only
where texts are looked at. Alternatives that checking may never come to are counted too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from kongflow_events.domain.pattern_weight import PatternWeight, weight_of_pattern
from kongflow_events.domain.schema_shape import Label, Node, SchemaGraph, times_asked

__all__ = ["TextWork"]

# Of a byte of the text, where one place of an expression is 1.
_OF_FORMATS: Final[Mapping[str, int]] = {"idn-hostname": 10, "uri-reference": 4}
_READ_WHOLE: Final = ("format", "contentEncoding", "contentMediaType")
# What the walk itself takes for a schema and a value.
_OF_VISIT: Final = 150
_OF_MEMBER: Final = 5

_Edge = tuple[int, int]
"""The number of a schema, and how often it is asked."""


@dataclass(slots=True)
class _Reader:
    """What one schema asks of texts, and where it goes."""

    texts: list[PatternWeight] = field(default_factory=list)
    names: list[PatternWeight] = field(default_factory=list)
    same: list[_Edge] = field(default_factory=list)
    of_names: list[int] = field(default_factory=list)
    by_name: list[tuple[str, int]] = field(default_factory=list)
    by_index: list[tuple[int, int]] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    other_members: list[int] = field(default_factory=list)
    """Of members that `properties` does not name."""
    named: frozenset[str] = frozenset()
    elements: list[int] = field(default_factory=list)

    def looks_at_members(self, count: int) -> int:
        """What it takes to go on with so many members."""
        of_each = len(self.of_names) + len(self.members) + len(self.other_members)
        return _OF_MEMBER * (len(self.by_name) + count * of_each)

    def looks_at_elements(self, count: int) -> int:
        """The same for a list."""
        return _OF_MEMBER * (len(self.by_index) + count * len(self.elements))


class TextWork:
    """Of one schema. The unit is one place of an expression at one byte, about 5 ns."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        graph = SchemaGraph(schema, "schema")
        graph.build()
        readers = [_Reader(*_weights(node.schema)) for node in graph.nodes]
        asking = _asking(graph.nodes, readers)
        for node, reader in zip(graph.nodes, readers, strict=True):
            for child, label in node.edges:
                if child in asking:
                    _add(reader, node, child, graph.nodes[child], label)
        self._readers = readers
        self._asks = 0 in asking

    def of(self, payload: object, *, at_most: int) -> int:
        """The work, as soon as it is more than `at_most`."""
        if not self._asks:
            return 0
        readers, work = self._readers, 0
        waiting: list[tuple[int, object, int]] = [(0, payload, 1)]
        while waiting and work <= at_most:
            number, value, times = waiting.pop()
            reader = readers[number]
            work += _OF_VISIT
            waiting += [(child, value, times * again) for child, again in reader.same]
            if type(value) is str:
                work += times * _work(reader.texts, value)
            elif type(value) is dict:
                members = cast("dict[str, object]", value)
                work += reader.looks_at_members(len(members))
                names = iter(members if reader.names else ())
                while work <= at_most and (name := next(names, None)) is not None:
                    work += times * _work(reader.names, name)
                if work <= at_most:
                    _follow_members(reader, members, times, waiting)
            elif type(value) is list:
                elements = cast("list[object]", value)
                work += reader.looks_at_elements(len(elements))
                if work <= at_most:
                    _follow_elements(reader, elements, times, waiting)
        return work


def _weights(schema: Mapping[str, Any]) -> tuple[list[PatternWeight], list[PatternWeight]]:
    """Of what is asked of a text, and of the names of an object."""
    texts: list[PatternWeight] = []
    pattern, by_pattern = schema.get("pattern"), schema.get("patternProperties")
    if isinstance(pattern, str):
        texts.append(weight_of_pattern(pattern))
    for keyword in _READ_WHOLE:
        name = schema.get(keyword)
        if isinstance(name, str):
            places = _OF_FORMATS.get(name, 1)
            texts.append(PatternWeight(places, places, 0))
    names = list(map(weight_of_pattern, by_pattern)) if isinstance(by_pattern, dict) else []
    return texts, names


def _asking(nodes: list[Node], readers: list[_Reader]) -> set[int]:
    """The numbers of those that look at texts or lead to one that does."""
    parents: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        for child, _ in node.edges:
            parents.setdefault(child, []).append(number)
    asking: set[int] = set()
    waiting = [number for number, each in enumerate(readers) if each.texts or each.names]
    while waiting:
        number = waiting.pop()
        if number not in asking:
            asking.add(number)
            waiting += parents.get(number, ())
    return asking


def _add(reader: _Reader, node: Node, child: int, schema: Node, label: Label) -> None:
    if label is None:
        reader.same.append((child, times_asked(node.schema, label)))
        return
    kind, part = label
    if kind == "n":
        reader.of_names.append(child)
    elif isinstance(part, str):
        reader.by_name.append((part, child))
    elif isinstance(part, int):
        reader.by_index.append((part, child))
    elif kind == "i":
        reader.elements.append(child)
    elif any(
        node.schema.get(keyword) is schema.schema
        for keyword in ("additionalProperties", "unevaluatedProperties")
    ):
        reader.other_members.append(child)
        properties = node.schema.get("properties")
        reader.named = frozenset(properties) if isinstance(properties, dict) else frozenset()
    else:
        reader.members.append(child)


def _work(weights: list[PatternWeight], text: str) -> int:
    if not weights:
        return 0
    length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return sum(each.work(length) for each in weights)


def _follow_members(
    reader: _Reader,
    members: dict[str, object],
    times: int,
    waiting: list[tuple[int, object, int]],
) -> None:
    for name, child in reader.by_name:
        if name in members:
            waiting.append((child, members[name], times))
    for child in reader.of_names:
        waiting += [(child, name, times) for name in members]
    for child in reader.members:
        waiting += [(child, each, times) for each in members.values() if type(each) in _FOLLOWED]
    for child in reader.other_members:
        waiting += [
            (child, each, times)
            for name, each in members.items()
            if name not in reader.named and type(each) in _FOLLOWED
        ]


def _follow_elements(
    reader: _Reader, elements: list[object], times: int, waiting: list[tuple[int, object, int]]
) -> None:
    for index, child in reader.by_index:
        if index < len(elements):
            waiting.append((child, elements[index], times))
    for child in reader.elements:
        waiting += [(child, each, times) for each in elements if type(each) in _FOLLOWED]


_FOLLOWED: Final = frozenset({str, list, dict})
