"""What a filter demands by equality, so that it can be found instead of asked.

A filter such as `{"customer": {"id": ["c-1", "c-2"]}}` holds only for values that have one of two
scalars at one place. Whoever has many filters looks up the scalars that a value has at a place,
and asks only the filters that demand one of them, and those that demand none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias, cast

from kongflow_filters.event_filter import FilterNode
from kongflow_filters.javascript_objects import (
    ARRAY_PROTOTYPE,
    BOOLEAN_PROTOTYPE,
    NUMBER_PROTOTYPE,
    OBJECT_PROTOTYPE,
    STRING_PROTOTYPE,
)
from kongflow_filters.javascript_values import MISSING, array_index, is_number, to_double
from kongflow_filters.operators import is_scalar_list

__all__ = ["Equality", "Path", "Scalar", "equalities", "scalars_at"]

Path: TypeAlias = tuple[str, ...]
"""Keys, from the outermost object to the innermost."""

Scalar: TypeAlias = str | float | tuple[bool]
"""A string, a number as a double, or a boolean, apart from the numbers that it equals in Python."""

_PROTOTYPES: Final = (
    OBJECT_PROTOTYPE,
    ARRAY_PROTOTYPE,
    STRING_PROTOTYPE,
    NUMBER_PROTOTYPE,
    BOOLEAN_PROTOTYPE,
)


@dataclass(frozen=True, slots=True)
class Equality:
    """At this place stands one of these scalars, or the filter does not hold."""

    path: Path
    scalars: frozenset[Scalar]


def equalities(tree: FilterNode, path: Path = ()) -> Iterator[Equality]:
    """All that a filter demands by equality, of places that only the value's own keys lead to.

    Keys by which JavaScript looks into strings and lists, or that objects inherit, are left out.
    """
    for key, node in tree.items():
        if not _is_own(key):
            continue
        if isinstance(node, Mapping):
            yield from equalities(node, (*path, key))
        elif node and is_scalar_list(node):
            scalars = map(_scalar, node)
            yield Equality((*path, key), frozenset(each for each in scalars if each is not None))


def scalars_at(value: object, path: Path) -> Sequence[Scalar]:
    """The scalars that a filter of this path may find: of lists on the way, of each element."""
    found = [value]
    for key in path:
        found = list(_members(found, key))
        if not found:
            return ()
    return [scalar for each in found if (scalar := _scalar(each)) is not None]


def _members(values: Sequence[object], key: str) -> Iterator[object]:
    for value in values:
        if type(value) is dict:
            if key in value:
                yield value[key]
        elif type(value) is list:
            for element in cast("list[object]", value):
                if type(element) is dict and key in element:
                    yield element[key]


def _scalar(value: object) -> Scalar | None:
    if type(value) is str:
        return value
    if type(value) is bool:
        return (value,)
    return to_double(cast("float", value)) if is_number(value) else None


@lru_cache(maxsize=10_000)
def _is_own(key: str) -> bool:
    """Whether only an object that has the key itself can have anything under it."""
    if array_index(key) is not None or key == "length":
        return False
    return all(prototype.read(key) is MISSING for prototype in _PROTOTYPES)
