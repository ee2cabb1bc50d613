"""Refuses schemas that reach outside of themselves, or whose checks could take without end.

A schema is a graph: keywords lead to schemas for the same value (`allOf`, `$ref`) or for a part of
it (`properties`, `items`). Checking walks it together with the payload, so what has to be bounded
is in how many ways a schema is come to (each is a check of its own), and how deep.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from kongflow_common.errors import InvalidField
from kongflow_events.domain.pattern_weight import MOST_PLACES, weight_of_pattern

__all__ = ["DIALECTS", "Label", "Node", "SchemaGraph", "check_shape", "cost_of", "times_asked"]

DIALECTS: Final = frozenset(
    {
        "http://json-schema.org/draft-04/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    }
)

_MOST_SCHEMAS: Final = 5_000
_MOST_CHECKS: Final = 20_000
_MOST_LEVELS: Final = 100
_MOST_OPTIONS: Final = 1_000
_MOST_PLACES: Final = 100_000
"""Of all patterns: about a second to compile."""

_SAME_VALUE: Final = ("allOf", "anyOf", "oneOf")
_SAME_VALUE_ONE: Final = ("not", "if", "then", "else")
Label: TypeAlias = tuple[str, object] | None
"""Which part of the value an edge leads to: None is the value itself; ("p", None) any member."""


_LABELS: Final[Mapping[str, Label]] = {
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties"), ("p", None)),
    **dict.fromkeys(("items", "additionalItems", "unevaluatedItems", "contains"), ("i", None)),
    "propertyNames": ("n", None),
}
_TRIED: Final = 10
_LOOKED_AGAIN: Final = 3
_NAMED: Final[Mapping[str, Label]] = {
    "patternProperties": ("p", None),
    "dependentSchemas": None,
    "dependencies": None,
    "$defs": ("apart", None),
    "definitions": ("apart", None),
}


@dataclass(slots=True)
class Node:
    """A schema, where it stands, and the numbers of those that it leads to."""

    schema: Mapping[str, Any]
    path: str
    edges: list[tuple[int, Label]] = field(default_factory=list)
    component: int = -1


def check_shape(schema: Mapping[str, Any], path: str) -> None:
    """Raise InvalidField with the place of what is refused."""
    dialect = schema.get("$schema")
    if dialect is not None and (
        not isinstance(dialect, str) or dialect.removesuffix("#") not in DIALECTS
    ):
        raise InvalidField(f"{path}.$schema", "must be that of draft 4, 6, 7, 2019-09 or 2020-12")
    graph = SchemaGraph(schema, path)
    graph.build()
    _check_patterns(graph.nodes)
    order = _components(graph.nodes)
    _check_recursion(graph.nodes)
    _check_size(graph.nodes, order)


def cost_of(schema: Mapping[str, Any]) -> int:
    """How much one value of a payload may be asked, at most: schemas, and values of an `enum`.

    Most ask different values; those under `items`, and all that are tried, ask the same.
    """
    graph = SchemaGraph(schema, "schema")
    graph.build()
    costs: dict[int, int] = {}
    for number in _components(graph.nodes):
        node = graph.nodes[number]
        options = node.schema.get("enum")
        costs[number] = 1 + (len(options) if isinstance(options, list) else 0)
        # Where none of several fits, all that is wrong with each of them is written down.
        tried = (node.schema.get(keyword) for keyword in ("oneOf", "anyOf"))
        costs[number] += sum(_TRIED * len(each) for each in tried if isinstance(each, list))
        costs[number] += sum(
            times_asked(node.schema, label) * costs.get(child, 1) for child, label in node.edges
        )
    return costs[0]


def times_asked(schema: Mapping[str, Any], label: Label) -> int:
    """How often a schema asks what an edge leads to, of one value.

    To know what nobody has looked at, all that look at the same value are asked again, twice.
    """
    looks_again = "unevaluatedProperties" in schema or "unevaluatedItems" in schema
    return _LOOKED_AGAIN if label is None and looks_again else 1


class SchemaGraph:
    """The schemas of a schema: `nodes`, the schema itself first, and what each leads to."""

    def __init__(self, root: Mapping[str, Any], path: str) -> None:
        self._root = root
        self._root_path = path
        self.nodes: list[Node] = []
        self._numbers: dict[int, int] = {}
        self._waiting: list[int] = []
        self._anchors: dict[str, Mapping[str, Any]] = {}

    def build(self) -> None:
        """Find all of them. Raises InvalidField with the place of what is refused."""
        self._number(self._root, self._root_path)
        references: list[tuple[Node, str]] = []
        while self._waiting:
            while self._waiting:
                node = self.nodes[self._waiting.pop()]
                references += self._walk(node)
            # What they lead to may not have been seen: anything may hold a schema.
            for node, reference in references:
                target = self._resolve(node, reference)
                if isinstance(target, dict):
                    node.edges.append((self._number(target, f"{node.path}.$ref"), None))
            references = []

    def _number(self, schema: Mapping[str, Any], path: str) -> int:
        known = self._numbers.get(id(schema))
        if known is not None:
            return known
        if len(self.nodes) >= _MOST_SCHEMAS:
            raise InvalidField(path, f"is too large: more than {_MOST_SCHEMAS} schemas in one")
        number = len(self.nodes)
        self._numbers[id(schema)] = number
        self.nodes.append(Node(schema, path))
        self._waiting.append(number)
        return number

    def _walk(self, node: Node) -> Iterator[tuple[Node, str]]:
        schema, path = node.schema, node.path
        if schema is not self._root:
            for keyword in ("$id", "$schema"):
                if keyword in schema:
                    raise InvalidField(f"{path}.{keyword}", "may stand at the top only")
        for keyword in ("$dynamicRef", "$recursiveRef"):
            if keyword in schema:
                raise InvalidField(f"{path}.{keyword}", "is not taken; use $ref")
        options = schema.get("enum")
        if isinstance(options, list) and len(options) > _MOST_OPTIONS:
            raise InvalidField(f"{path}.enum", f"has more than {_MOST_OPTIONS} values")
        anchor = schema.get("$anchor")
        if isinstance(anchor, str):
            self._anchors[anchor] = schema
        for label, child, where in _children(schema, path):
            number = self._number(child, where)
            if label != ("apart", None):
                node.edges.append((number, label))
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if not reference.startswith("#"):
                raise InvalidField(f"{path}.$ref", "must stay within the schema: begin with #")
            yield node, reference[1:]

    def _resolve(self, node: Node, reference: str) -> object:
        if reference and not reference.startswith("/"):
            found = self._anchors.get(reference)
            if found is None:
                raise InvalidField(f"{node.path}.$ref", "names no $anchor of the schema")
            return found
        value: object = self._root
        for part in reference.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                raise InvalidField(f"{node.path}.$ref", "names nothing in the schema")
        if not isinstance(value, dict | bool):
            raise InvalidField(f"{node.path}.$ref", "names something that is no schema")
        return value


def _children(
    schema: Mapping[str, Any], path: str
) -> Iterator[tuple[Label, Mapping[str, Any], str]]:
    """The schemas right below one, and what of the value they are for."""
    for keyword, value in schema.items():
        for label, child, where in _below(keyword, value, f"{path}.{keyword}"):
            if isinstance(child, dict):
                yield label, child, where


def _below(keyword: str, value: Any, where: str) -> list[tuple[Label, Any, str]]:
    label = _LABELS.get(keyword)
    if label is not None or keyword in _SAME_VALUE_ONE:
        if not isinstance(value, list):
            return [(label, value, where)]
        return [(("i", at), each, f"{where}[{at}]") for at, each in enumerate(value)]
    if isinstance(value, list):
        if keyword == "prefixItems":
            return [(("i", at), each, f"{where}[{at}]") for at, each in enumerate(value)]
        if keyword in _SAME_VALUE:
            return [(None, each, f"{where}[{at}]") for at, each in enumerate(value)]
    elif isinstance(value, dict):
        if keyword == "properties":
            return [(("p", name), each, f"{where}.{name}") for name, each in value.items()]
        if keyword in _NAMED:
            return [(_NAMED[keyword], each, f"{where}.{name}") for name, each in value.items()]
    return []


def _check_patterns(nodes: list[Node]) -> None:
    places = 0
    for node in nodes:
        pattern, by_pattern = node.schema.get("pattern"), node.schema.get("patternProperties")
        written = [(pattern, f"{node.path}.pattern")]
        if isinstance(by_pattern, dict):
            written += [(each, f"{node.path}.patternProperties") for each in by_pattern]
        for each, path in written:
            if not isinstance(each, str):
                continue
            weight = weight_of_pattern(each)
            if weight.is_too_large:
                raise InvalidField(
                    path,
                    f"is too heavy: more than {MOST_PLACES} places when its repetitions are"
                    " written out, or has the flag x",
                )
            places += weight.places
            if places > _MOST_PLACES:
                raise InvalidField(
                    path, f"is too heavy: all patterns have more than {_MOST_PLACES} places"
                )


def _components(nodes: list[Node]) -> list[int]:
    """Number the strongly connected components; answers nodes so that those below come first."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    order: list[int] = []
    for start in range(len(nodes)):
        if start in index:
            continue
        work = [(start, iter(nodes[start].edges))]
        index[start] = low[start] = len(index)
        stack.append(start)
        while work:
            number, edges = work[-1]
            for child, _ in edges:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    work.append((child, iter(nodes[child].edges)))
                    break
                if nodes[child].component < 0:
                    low[number] = min(low[number], index[child])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[number])
                if low[number] == index[number]:
                    while True:
                        member = stack.pop()
                        nodes[member].component = number
                        order.append(member)
                        if member == number:
                            break
    return order


def _check_recursion(nodes: list[Node]) -> None:
    """A schema that holds itself must do so once for each part of a value, and for parts only."""
    steps = 0
    for number, node in enumerate(nodes):
        if not _is_recursive(nodes, number):
            continue
        seen: dict[str, set[object]] = {}
        work: list[tuple[int, int]] = [(number, 0)]
        while work:
            at, depth = work.pop()
            steps += 1
            if depth > _MOST_LEVELS or steps > 10 * _MOST_CHECKS:
                raise InvalidField(node.path, "is too complex: it refers to itself in many ways")
            for child, label in nodes[at].edges:
                if nodes[child].component != node.component:
                    continue
                if label is None:
                    if child == number:
                        raise InvalidField(node.path, "refers to itself for the same value")
                    work.append((child, depth + 1))
                    continue
                kind, part = label
                parts = seen.setdefault(kind, set())
                if part in parts or (parts and (part is None or None in parts)):
                    raise InvalidField(
                        nodes[at].path, "comes back to the same schema for one value in two ways"
                    )
                parts.add(part)


def _is_recursive(nodes: list[Node], number: int) -> bool:
    component = nodes[number].component
    return any(nodes[child].component == component for child, _ in nodes[number].edges)


def _check_size(nodes: list[Node], order: list[int]) -> None:
    checks: dict[int, int] = {}
    levels: dict[int, int] = {}
    for number in order:
        node = nodes[number]
        checks[number] = 1 + sum(
            times_asked(node.schema, label) * checks.get(child, 1)
            if nodes[child].component != node.component
            else 1
            for child, label in node.edges
        )
        levels[number] = 1 + max((levels.get(child, 0) for child, _ in node.edges), default=0)
        if checks[number] > _MOST_CHECKS:
            raise InvalidField(node.path, f"is too complex: more than {_MOST_CHECKS} checks")
        if levels[number] > _MOST_LEVELS:
            raise InvalidField(node.path, f"is more than {_MOST_LEVELS} schemas deep")
