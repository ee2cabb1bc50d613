"""What a JSON Schema says, as the compatibility check reads it."""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import orjson

__all__ = [
    "TYPES",
    "beside",
    "is_multiple",
    "is_number",
    "joined",
    "pointed",
    "takes",
    "targets",
    "text",
    "type_of",
    "types",
    "values",
    "without",
]

TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

# Keywords that say something only together.
_TOGETHER: Final = (
    frozenset({"properties", "patternProperties", "additionalProperties"}),
    frozenset({"items", "prefixItems", "additionalItems"}),
    frozenset({"contains", "minContains", "maxContains"}),
    frozenset({"if", "then", "else"}),
    frozenset({"minimum", "exclusiveMinimum"}),
    frozenset({"maximum", "exclusiveMaximum"}),
)


def text(value: object) -> bytes:
    """The one way to write a value."""
    # As text: to Python 1 and true are equal.
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def targets(schema: Mapping[str, Any]) -> object:
    """Whatever the references of a schema may lead to."""
    written = text(schema)
    inside = written.count(b'"$ref":"#/$defs/') + written.count(b'"$ref":"#/definitions/')
    if inside != written.count(b'"$ref":'):
        return schema
    return {name: schema.get(name) for name in ("$defs", "definitions")}


def pointed(root: Mapping[str, Any], reference: object) -> Any:
    """What a JSON pointer leads to; None if that is nothing, or another kind of reference."""
    value: Any = root
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    if reference not in ("#", "#/") and not reference.startswith("#/"):
        return None
    for part in reference.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return None
    return value


def joined(rest: Mapping[str, Any], option: Any) -> dict[str, Any]:
    """Both at once, or something that takes more: of the same keywords only the second's stay."""
    if option is False:
        return {"enum": []}
    if option is True:
        return dict(rest)
    kept = dict(rest)
    for together in _TOGETHER:
        if together & option.keys():
            kept = {name: value for name, value in kept.items() if name not in together}
    return {**kept, **option}


def without(schema: Mapping[str, Any], keyword: str) -> dict[str, Any]:
    """All but one keyword."""
    return {name: value for name, value in schema.items() if name != keyword}


def values(schema: Mapping[str, Any]) -> list[Any] | None:
    """The only values that a schema takes."""
    if "const" in schema:
        return [schema["const"]]
    options = schema.get("enum")
    return options if isinstance(options, list) else None


def types(schema: Mapping[str, Any]) -> frozenset[str]:
    """The types that a schema takes, as far as its own keywords say."""
    given = schema.get("type")
    found = frozenset([given] if isinstance(given, str) else given or TYPES)
    options = values(schema)
    if options is not None:
        found = frozenset(type_of(each) for each in options if _is_of(each, found))
    return found


def _is_of(value: object, kinds: frozenset[str]) -> bool:
    # 4.0 is an integer too, to all drafts but the fourth.
    if isinstance(value, float) and value.is_integer() and "integer" in kinds:
        return True
    return takes(kinds, type_of(value))


def takes(kinds: frozenset[str], kind: str) -> bool:
    """Whether a type is among others."""
    return kind in kinds or (kind == "integer" and "number" in kinds)


def type_of(value: object) -> str:
    """The type of a value; a float is never an integer, which draft 4 says."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def beside(schema: Mapping[str, Any], keyword: str) -> tuple[object, object]:
    """A boolean bound of draft 4, and what it is about."""
    return schema.get(keyword), schema.get(keyword.replace("exclusiveM", "m"))


def is_multiple(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    """Whether multiples of the one are multiples of the other."""
    given, wanted = inner.get("multipleOf"), outer["multipleOf"]
    return isinstance(given, int) and isinstance(wanted, int) and given % wanted == 0
