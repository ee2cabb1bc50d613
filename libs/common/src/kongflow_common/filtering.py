"""A list's filter as a tree, whatever language it was written in.

A context declares what may be filtered (`FilterField`), `kongflow_common.rpc.filtering` reads
the text, and `kongflow_common.db.filter_sql` turns the tree into a condition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

__all__ = [
    "And",
    "Comparison",
    "FieldType",
    "Filter",
    "FilterField",
    "FilterValue",
    "Not",
    "Operator",
    "Or",
    "fields_of",
]

FilterValue = str | int | float | bool | datetime | UUID


class Operator(Enum):
    """How a field is compared with a value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    GREATER = ">"
    AT_MOST = "<="
    AT_LEAST = ">="
    HAS = ":"
    """Of a list that the value is in it, of an object that it has such a member."""
    PRESENT = ":*"
    """That there is anything; the value says nothing."""


class FieldType(Enum):
    """What a field holds, and with it which values it is compared with."""

    TEXT = "a text"
    TEXTS = "one of its texts"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    TIME = "a time such as 2024-05-01T12:00:00Z"
    ID = "an id"
    ENUM = "one of its values"
    DOCUMENT = "a text, a number, true or false"
    """A JSON document: what is compared is the value at a path in it, `name.path.to.it`."""


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field that may be filtered by; `members` are the names of an ENUM's values."""

    name: str
    type: FieldType
    members: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The field compares so with the value; a missing one equals nothing.

    Of a DOCUMENT it is the value at `path`, which is empty for all other fields; only what it
    HAS is asked of the whole.
    """

    field: str
    operator: Operator
    value: FilterValue
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold."""

    items: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them holds."""

    items: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    item: "Filter"


Filter = Comparison | And | Or | Not


def fields_of(tree: Filter) -> frozenset[str]:
    """Name the fields that a filter compares."""
    if isinstance(tree, Comparison):
        return frozenset({tree.field})
    items = (tree.item,) if isinstance(tree, Not) else tree.items
    return frozenset[str]().union(*(fields_of(item) for item in items))
