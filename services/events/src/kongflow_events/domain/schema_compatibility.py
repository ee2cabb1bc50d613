"""Whether every payload that one schema takes is taken by another.

Sound, not complete: where nothing is found the answer is a proof, and what is found may be a
combination that the check does not understand; it is marked so. docs/events-schemas.md says
which keywords are understood.
"""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from kongflow_events.domain.event_schema import Compatibility
from kongflow_events.domain.schema_reading import (
    TYPES,
    beside,
    is_multiple,
    is_number,
    joined,
    pointed,
    takes,
    targets,
    text,
    type_of,
    types,
    values,
    without,
)

__all__ = ["Difference", "differences"]

_LATEST: Final = "https://json-schema.org/draft/2020-12/schema"
_COMPARED: Final = frozenset(
    {
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        _LATEST,
    }
)
_MOST_FOUND: Final = 20
_MOST_STEPS: Final = 20_000

_ANNOTATIONS: Final = frozenset(
    {
        *("$schema", "$id", "id", "$anchor", "$comment", "$defs", "definitions", "title"),
        *("description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    }
)
_LOWER: Final = {
    "minimum": ("number", "integer"),
    "exclusiveMinimum": ("number", "integer"),
    "minLength": ("string",),
    "minItems": ("array",),
    "minProperties": ("object",),
}
_UPPER: Final = {
    "maximum": ("number", "integer"),
    "exclusiveMaximum": ("number", "integer"),
    "maxLength": ("string",),
    "maxItems": ("array",),
    "maxProperties": ("object",),
}
# Left as they are they keep a schema as it is; otherwise nobody knows.
_ONLY_EQUAL: Final[Mapping[str, frozenset[str]]] = {
    "pattern": frozenset({"string"}),
    "format": frozenset({"string"}),
    "contentEncoding": frozenset({"string"}),
    "contentMediaType": frozenset({"string"}),
    "uniqueItems": frozenset({"array"}),
    "propertyNames": frozenset({"object"}),
    "dependentRequired": frozenset({"object"}),
    "dependentSchemas": frozenset({"object"}),
    "dependencies": frozenset({"object"}),
    "multipleOf": frozenset({"number", "integer"}),
    "oneOf": TYPES,
    "not": TYPES,
}
# Keywords whose meaning hangs on others beside them: equal together, or nobody knows.
_TOGETHER: Final = (
    (("if", "then", "else"), TYPES),
    (("contains", "minContains", "maxContains"), frozenset({"array"})),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a payload may hold that the other schema does not take, or may not take."""

    path: str
    reason: str
    undecided: bool = False


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], compatibility: Compatibility
) -> list[Difference]:
    """What stands in the way of a new version; nothing when it is compatible."""
    found: list[Difference] = []
    if compatibility in (Compatibility.BACKWARD, Compatibility.FULL):
        found += _Containment(old, new, "the version before", "the new one").all()
    if compatibility in (Compatibility.FORWARD, Compatibility.FULL):
        found += _Containment(new, old, "the new version", "the one before").all()
    return found[:_MOST_FOUND]


class _Containment:
    """Whether `inner` takes nothing that `outer` refuses."""

    def __init__(
        self, inner: Mapping[str, Any], outer: Mapping[str, Any], inner_is: str, outer_is: str
    ) -> None:
        self._inner, self._outer = inner, outer
        self._inner_is, self._outer_is = inner_is, outer_is
        self._steps = 0
        self._rows = False
        """Whether `prefixItems` says something in this draft."""
        self._assumed: set[tuple[int, int]] = set()
        # What references lead to is the same if everything they may lead to is.
        self._same_targets = text(targets(inner)) == text(targets(outer))

    def all(self) -> list[Difference]:
        """Everything that is different, up to a number."""
        dialect = _dialect(self._inner)
        if dialect != _dialect(self._outer):
            return [Difference("payload", "the two are of different drafts", undecided=True)]
        if dialect not in _COMPARED and not self._same(self._inner, self._outer):
            return [Difference("payload", "drafts before 7 are not compared", undecided=True)]
        self._rows = dialect == _LATEST
        try:
            return self._found(self._inner, self._outer, "payload")
        except RecursionError:
            return [Difference("payload", "the two are too deep to be compared", undecided=True)]

    def _found(self, inner: Any, outer: Any, path: str) -> list[Difference]:
        found: list[Difference] = []
        with closing(self._differences(inner, outer, path)) as differing:
            for each in differing:
                found.append(each)
                if len(found) >= _MOST_FOUND:
                    break
        return found

    def _differences(self, inner: Any, outer: Any, path: str) -> Generator[Difference, None, None]:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            yield Difference(path, "the two are too large to be compared", undecided=True)
            return
        if outer is True or outer == {} or inner is False:
            return
        inner = {} if inner is True else inner
        if outer is False:
            yield Difference(path, f"{self._outer_is} takes nothing here")
            return
        if self._same(inner, outer):
            return
        inner, outer = self._resolved(inner, self._inner), self._resolved(outer, self._outer)
        if inner is None or outer is None or not isinstance(outer, dict):
            if isinstance(outer, bool):
                yield from self._differences(inner, outer, path)
                return
            yield Difference(path, "a $ref beside other keywords is not compared", undecided=True)
            return
        if not isinstance(inner, dict):
            yield from self._differences(inner, outer, path)
            return
        # A pair that is met again below itself holds if the rest does.
        pair = (id(inner), id(outer))
        if pair in self._assumed:
            return
        self._assumed.add(pair)
        try:
            yield from self._compared(inner, outer, path)
        finally:
            # It was an assumption only: what was tried and given up proves nothing.
            self._assumed.discard(pair)

    def _same(self, inner: Any, outer: Any) -> bool:
        written = text(inner)
        return written == text(outer) and (self._same_targets or b'"$ref"' not in written)

    def _resolved(self, schema: Any, root: Mapping[str, Any]) -> Any:
        for _ in range(20):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return schema
            if set(schema) - _ANNOTATIONS - {"$ref"}:
                return None
            schema = pointed(root, schema["$ref"])
        return None

    def _compared(
        self, inner: dict[str, Any], outer: dict[str, Any], path: str
    ) -> Generator[Difference, None, None]:
        # One alternative after the other; each holds beside what stands around it.
        for keyword in ("anyOf", "oneOf"):
            if keyword in inner and keyword not in outer:
                rest = without(inner, keyword)
                if self._found(rest, outer, path):
                    for option in inner[keyword]:
                        yield from self._differences(joined(rest, option), outer, path)
                return
        if any(not self._found(part, outer, path) for part in inner.get("allOf", ())):
            return
        for part in outer.get("allOf", ()):
            yield from self._differences(inner, part, path)
        if "anyOf" in outer:
            yield from self._any(inner, outer["anyOf"], path)
        yield from self._options(inner, outer, path)
        given = types(inner)
        refused = {kind for kind in given if not takes(types(outer), kind)}
        if values(outer) is None and refused:
            kinds = ", ".join(sorted(refused))
            yield Difference(path, f"{self._inner_is} takes {kinds}, {self._outer_is} does not")
        yield from self._own(inner, outer, given - refused, path)

    def _own(
        self, inner: dict[str, Any], outer: dict[str, Any], left: frozenset[str], path: str
    ) -> Generator[Difference, None, None]:
        """What the keywords of the outer schema itself ask of the types that it takes."""
        yield from self._bounds(inner, outer, left, path)
        yield from self._kept(inner, outer, left, path)
        if "object" in left:
            yield from self._members(inner, outer, path)
        if "array" in left:
            yield from self._items(inner, outer, path)

    def _any(
        self, inner: dict[str, Any], options: list[Any], path: str
    ) -> Generator[Difference, None, None]:
        if isinstance(inner.get("anyOf"), list) and all(
            any(
                not self._found(joined(without(inner, "anyOf"), each), option, path)
                for option in options
            )
            for each in inner["anyOf"]
        ):
            return
        if all(self._found(inner, option, path) for option in options):
            yield Difference(
                path, f"no alternative of {self._outer_is} takes all of it", undecided=True
            )

    def _options(
        self, inner: dict[str, Any], outer: dict[str, Any], path: str
    ) -> Generator[Difference, None, None]:
        wanted = values(outer)
        if wanted is None:
            return
        if "const" in outer and "enum" in outer:
            yield Difference(path, "const beside enum is not compared", undecided=True)
        given = values(inner)
        if given is None:
            yield Difference(path, f"{self._outer_is} takes certain values only")
            return
        taken = {text(each) for each in wanted}
        for value in given:
            if text(value) not in taken:
                shown = text(value).decode()[:80]
                yield Difference(path, f"{self._outer_is} does not take the value {shown}")
            elif not takes(types(outer), type_of(value)):
                yield Difference(
                    path, "a value beside another type is not compared", undecided=True
                )

    def _bounds(
        self, inner: dict[str, Any], outer: dict[str, Any], kinds_left: frozenset[str], path: str
    ) -> Generator[Difference, None, None]:
        for keywords, is_lower in ((_LOWER, True), (_UPPER, False)):
            for keyword, kinds in keywords.items():
                if keyword not in outer or not kinds_left.intersection(kinds):
                    continue
                wanted, given = outer[keyword], inner.get(keyword)
                if not is_number(wanted):
                    # Of draft 4, where it is about the bound beside it.
                    if beside(inner, keyword) != beside(outer, keyword):
                        yield Difference(path, f"{keyword} is not compared", undecided=True)
                    continue
                candidates = [given] if is_number(given) else []
                # An exclusive bound is as good as one that is not.
                other = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}.get(keyword)
                if other is not None and is_number(inner.get(other)):
                    candidates.append(inner[other])
                if keyword == "minProperties" and isinstance(inner.get("required"), list):
                    candidates.append(len(set(inner["required"])))
                if any((each >= wanted) if is_lower else (each <= wanted) for each in candidates):
                    continue
                if is_lower and wanted == 0 and keyword.startswith("min") and keyword != "minimum":
                    continue
                yield Difference(path, f"{self._outer_is} asks for {keyword} {wanted}")

    def _kept(
        self, inner: dict[str, Any], outer: dict[str, Any], kinds_left: frozenset[str], path: str
    ) -> Generator[Difference, None, None]:
        for keyword, kinds in _ONLY_EQUAL.items():
            if keyword not in outer or not kinds_left & kinds:
                continue
            if keyword in inner and self._same(inner[keyword], outer[keyword]):
                continue
            if keyword == "multipleOf" and is_multiple(inner, outer):
                continue
            if keyword == "uniqueItems" and outer[keyword] is False:
                continue
            yield Difference(
                path, f"{keyword} of {self._outer_is} is another, or new", undecided=True
            )
        for keywords, kinds in _TOGETHER:
            if not kinds_left & kinds or not any(each in outer for each in keywords):
                continue
            one = {each: inner[each] for each in keywords if each in inner}
            other = {each: outer[each] for each in keywords if each in outer}
            if not self._same(one, other):
                yield Difference(path, f"{keywords[0]} is not compared", undecided=True)
        for keyword in ("unevaluatedProperties", "unevaluatedItems"):
            if outer.get(keyword, True) not in (True, {}):
                yield Difference(path, f"{keyword} is not compared", undecided=True)

    def _members(
        self, inner: dict[str, Any], outer: dict[str, Any], path: str
    ) -> Generator[Difference, None, None]:
        given = inner.get("required")
        sure = set(given) if isinstance(given, list) else set()
        for name in outer["required"] if isinstance(outer.get("required"), list) else ():
            if name not in sure:
                yield Difference(f"{path}.{name}", f"{self._outer_is} requires it")
        named, patterns = inner.get("properties", {}), inner.get("patternProperties", {})
        others = inner.get("additionalProperties", True)
        wanted, wanted_patterns = outer.get("properties", {}), outer.get("patternProperties", {})
        for name, schema in wanted.items():
            # Where there are patterns, what they say of it is left out: it may be anything.
            mine = named.get(name, True if patterns else others)
            yield from self._differences(mine, schema, f"{path}.{name}")
        for pattern, schema in wanted_patterns.items():
            if pattern in patterns and not self._found(patterns[pattern], schema, path):
                continue
            all_named = all(not self._found(each, schema, path) for each in named.values())
            if not (others is False and not patterns and all_named):
                yield Difference(
                    path, f"the pattern {pattern[:80]} is not compared", undecided=True
                )
        rest = outer.get("additionalProperties", True)
        if rest is True or rest == {}:
            return
        for name, schema in named.items():
            if name not in wanted:
                yield from self._differences(schema, rest, f"{path}.{name}")
        for pattern, schema in patterns.items():
            if pattern not in wanted_patterns:
                yield from self._differences(schema, rest, f"{path}.{{}}")
        yield from self._differences(others, rest, f"{path}.{{}}")

    def _items(
        self, inner: dict[str, Any], outer: dict[str, Any], path: str
    ) -> Generator[Difference, None, None]:
        if isinstance(outer.get("items"), list) or isinstance(inner.get("items"), list):
            keywords = ("items", "additionalItems")
            if not self._same([inner.get(k) for k in keywords], [outer.get(k) for k in keywords]):
                yield Difference(f"{path}[]", "items in a row are not compared", undecided=True)
            return
        mine = inner.get("prefixItems", []) if self._rows else []
        wanted = outer.get("prefixItems", []) if self._rows else []
        rest, wanted_rest = inner.get("items", True), outer.get("items", True)
        for at, schema in enumerate(wanted):
            given = mine[at] if at < len(mine) else rest
            yield from self._differences(given, schema, f"{path}[{at}]")
        for at in range(len(wanted), len(mine)):
            yield from self._differences(mine[at], wanted_rest, f"{path}[{at}]")
        yield from self._differences(rest, wanted_rest, f"{path}[]")


def _dialect(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$schema", _LATEST)).removesuffix("#")
