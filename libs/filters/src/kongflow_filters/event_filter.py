"""Reads filters as they are written, exactly as the original's schema does.

The rules are in docs/behaviour/filters.md#filters.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from kongflow_filters.javascript_values import is_number, key_order
from kongflow_filters.match_list import (
    EXTENSION,
    OR,
    BadEntry,
    check_match_list,
    count_wildcards,
)
from kongflow_filters.operators import OPERATORS, is_scalar_list

__all__ = [
    "MAX_DEPTH",
    "EventFilter",
    "FilterNode",
    "FilterWarning",
    "InvalidFilter",
    "alternatives_of",
    "parse_filter",
    "path_steps",
    "render_path",
]

MAX_DEPTH: Final = 200
"""How deep objects and arrays of a filter may be nested; the filter itself is level 1."""

MAX_WILDCARDS: Final = 100
"""In one filter: each reads the whole of a value, where other conditions read its ends."""

# The original's parser never copies this key, so it matches nothing.
_NEVER_KEPT: Final = "__proto__"
_SHOWN_KEYS: Final = 10
_SHOWN_KEY_LENGTH: Final = 64
_PLAIN_KEY: Final = re.compile(r'[^\s.\[\]"]+')

FilterNode: TypeAlias = Mapping[str, "FilterNode | Sequence[object]"]
"""A parsed filter: each key has a filter of its own or a list of conditions."""

_Path: TypeAlias = tuple[str | int, ...]


class InvalidFilter(ValueError):
    """The filter is not one: `path` says where, e.g. `payload.user.age[0]`, `reason` why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FilterWarning:
    """Something that was written in a filter and has no effect.

    `kept` is the operator that does have one; empty when a key of an object is meant.
    """

    path: str
    kept: str
    ignored: tuple[str, ...]

    @property
    def message(self) -> str:
        """The same, for people."""
        ignored = ", ".join(shorten(key) for key in self.ignored[:_SHOWN_KEYS])
        if len(self.ignored) > _SHOWN_KEYS:
            ignored += f" and {len(self.ignored) - _SHOWN_KEYS} more"
        if not self.kept:
            return f"{self.path}: {ignored} is ignored; no filter can name it"
        return (
            f"{self.path}: only {self.kept} counts, {ignored} is ignored;"
            " write each operator in an object of its own"
        )


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A valid filter, without what has no effect. Parsing `tree` again gives the same."""

    tree: FilterNode
    warnings: tuple[FilterWarning, ...] = ()


def parse_filter(value: object, path: str = "", *, max_depth: int = MAX_DEPTH) -> EventFilter:
    """Check a filter, given as the JSON value that was written.

    `path` is what the paths of errors and warnings begin with. Raises InvalidFilter.
    See docs/behaviour/filters.md#filters.
    """
    parser = _FilterParser(max_depth)
    tree = parser.filter(value, path_steps(path))
    return EventFilter(tree, tuple(parser.warnings))


def alternatives_of(
    key: str, node: FilterNode | Sequence[object]
) -> Sequence[Sequence[FilterNode]] | None:
    """The alternatives that stand under a key of a parsed filter: of each list one must hold.

    None where the key is an ordinary one, whose node is about what stands under it.
    """
    if key != EXTENSION or isinstance(node, Mapping) or not node:
        return None
    groups = [each[OR] for each in node if isinstance(each, Mapping) and OR in each]
    return cast("Sequence[Sequence[FilterNode]]", groups) if groups else None


class _FilterParser:
    """One walk through a filter; collects the warnings."""

    def __init__(self, max_depth: int) -> None:
        self.warnings: list[FilterWarning] = []
        self._max_depth = max_depth
        self._wildcards = 0

    def filter(self, value: object, path: _Path, depth: int = 1) -> FilterNode:
        self._check_depth(path, depth)
        if type(value) is not dict:
            raise _invalid(path, f"must be an object, not {_kind(value)}")
        members = cast("dict[str, object]", value)
        parsed: dict[str, FilterNode | Sequence[object]] = {}
        for key in key_order(members):
            member, member_path = members[key], (*path, key)
            node: FilterNode | Sequence[object]
            if key == EXTENSION and _has_alternatives(member):
                node = self.alternatives(cast("list[object]", member), member_path, depth + 1)
            elif type(member) is list:
                node = self.conditions(member, member_path, depth + 1)
            elif type(member) is dict:
                node = self.filter(member, member_path, depth + 1)
            else:
                raise _invalid(
                    member_path,
                    f"must be a list of conditions or an object, not {_kind(member)}",
                )
            if key == _NEVER_KEPT:
                self.warnings.append(FilterWarning(render_path(path), "", (key,)))
            else:
                parsed[key] = node
        return parsed

    def conditions(self, items: list[object], path: _Path, depth: int) -> Sequence[object]:
        self._check_depth(path, depth)
        if is_scalar_list(items):
            return tuple(items)
        return tuple(
            self.operator(item, (*path, index), depth + 1) for index, item in enumerate(items)
        )

    def operator(self, item: object, path: _Path, depth: int) -> Mapping[str, object]:
        """The first operator of the schema's order whose operand fits."""
        self._check_depth(path, depth)
        if type(item) is not dict:
            raise _invalid(
                path,
                "a list holds only strings, only numbers, only booleans or only operators;"
                f" this is {_kind(item)}",
            )
        written = cast("dict[str, object]", item)
        for name, operator in OPERATORS.items():
            if name in written and operator.takes(written[name]):
                ignored = tuple(key for key in written if key != name)
                if ignored:
                    self.warnings.append(FilterWarning(render_path(path), name, ignored))
                return {name: written[name]}
        for name, operator in OPERATORS.items():
            if name in written:
                raise _invalid((*path, name), f"must be {operator.operand}")
        if EXTENSION in written:
            return self.match_list(written, path)
        raise _invalid(path, f"has no operator; the operators are {', '.join(OPERATORS)}")

    def match_list(self, written: Mapping[str, object], path: _Path) -> Mapping[str, object]:
        """What the original knows nothing of; an operator of its own in the object goes first."""
        path = (*path, EXTENSION)
        if len(written) > 1:
            raise _invalid(path, "must be the only key of its object")
        try:
            check_match_list(written[EXTENSION])
        except BadEntry as error:
            raise _invalid((*path, *error.steps), error.reason) from None
        self._wildcards += count_wildcards(written[EXTENSION])
        if self._wildcards > MAX_WILDCARDS:
            raise _invalid(path, f"is more than {MAX_WILDCARDS} wildcards in one filter")
        return {EXTENSION: written[EXTENSION]}

    def alternatives(self, items: list[object], path: _Path, depth: int) -> Sequence[object]:
        """`[{"$or": [filter, ...]}, ...]`: of each list one filter must hold."""
        self._check_depth(path, depth)
        parsed: list[Mapping[str, object]] = []
        for index, item in enumerate(items):
            inner = (*path, index)
            if type(item) is not dict or list(item) != [OR]:
                raise _invalid(inner, f"must be an object with the key {OR}, and nothing else")
            filters = item[OR]
            inner = (*inner, OR)
            if type(filters) is not list or not filters:
                raise _invalid(inner, "must be a list of filters that is not empty")
            parsed.append(
                {
                    OR: tuple(
                        self.filter(each, (*inner, number), depth + 3)
                        for number, each in enumerate(cast("list[object]", filters))
                    )
                }
            )
        return tuple(parsed)

    def _check_depth(self, path: _Path, depth: int) -> None:
        if depth > self._max_depth:
            raise _invalid(path[:8], f"is nested deeper than {self._max_depth} levels")


def _has_alternatives(member: object) -> bool:
    """Whether a list holds an object that has `$or` and no operator: the original refuses it."""
    return type(member) is list and any(
        type(item) is dict and OR in item and OPERATORS.keys().isdisjoint(item) for item in member
    )


def _invalid(path: _Path, reason: str) -> InvalidFilter:
    return InvalidFilter(render_path(path), reason)


def path_steps(path: str) -> tuple[str, ...]:
    """The steps that a path of plain keys is made of, e.g. `event_dispatcher.payload_filter`."""
    return tuple(path.split(".")) if path else ()


def render_path(path: Iterable[str | int]) -> str:
    """A place in a filter or a value as people read it, e.g. `payload.user.age[0]`.

    A key that could be read as another place stands in quotes: `payload["user.age"]`.
    """
    rendered = ""
    for step in path:
        if isinstance(step, int):
            rendered += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step) is None:
            rendered += f"[{json.dumps(shorten(step), ensure_ascii=False)}]"
        else:
            rendered += f".{shorten(step)}" if rendered else shorten(step)
    return rendered


def shorten(key: str) -> str:
    """The key as it is shown to people."""
    return key if len(key) <= _SHOWN_KEY_LENGTH else key[: _SHOWN_KEY_LENGTH - 1] + "…"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if type(value) is bool:
        return "a boolean"
    if is_number(value):
        return "NaN" if value != value else "a number"  # noqa: PLR0124 - only NaN differs from itself
    if type(value) is str:
        return "a string"
    if type(value) is list:
        return "a list"
    return "an object"
