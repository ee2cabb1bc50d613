"""Why a filter does not hold for a value: the first condition, in the filter's order, that fails.

Agrees with CompiledFilter on every value, which walks the same tree without remembering where it
is. The rules are in docs/behaviour/filters.md#explain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import cast

from kongflow_filters.compiled_filter import compile_operator
from kongflow_filters.event_filter import (
    EventFilter,
    FilterNode,
    alternatives_of,
    path_steps,
    render_path,
)
from kongflow_filters.javascript_objects import PropertyRefused
from kongflow_filters.javascript_properties import Property
from kongflow_filters.javascript_values import MISSING
from kongflow_filters.match_list import OR
from kongflow_filters.operators import is_one_of, is_scalar_list

__all__ = ["Mismatch", "MismatchKind", "explain", "explain_member"]


class MismatchKind(Enum):
    """What a filter met where it does not hold."""

    CONDITION = "condition"
    """A value for which the operator, or the list of values, does not hold."""

    NO_ELEMENT = "no_element"
    """A list of which no element matches the filter that is wanted."""

    NO_MEMBERS = "no_members"
    """Nothing, or null: it has no members that the filter which is wanted could look at."""

    UNREADABLE = "unreadable"
    """Something that JavaScript refuses to read."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first condition that does not hold, and what was found in its place.

    `operator` is empty where one of several values is wanted, and where a filter of its own is.
    `wanted` is the operand, the values or that filter. `found` may be MISSING, and a built-in
    object of JavaScript.
    """

    steps: tuple[str, ...]
    kind: MismatchKind
    operator: str
    wanted: object
    found: object

    @property
    def path(self) -> str:
        """Where, as people read it."""
        return render_path(self.steps)


def explain(event_filter: EventFilter, value: object, path: str = "") -> Mismatch | None:
    """Why the filter does not hold for the value; None when it does.

    `path` is what the paths of mismatches begin with. See CompiledFilter.matches.
    """
    try:
        return _explain(event_filter.tree, value, path_steps(path))
    except _Unreadable as error:
        return error.mismatch


def explain_member(event_filter: EventFilter, value: object, path: str = "") -> Mismatch | None:
    """The same for a value that is a member of an object. See CompiledFilter.matches_member."""
    try:
        return _explain_nested(event_filter.tree, value, path_steps(path))
    except _Unreadable as error:
        return error.mismatch


class _Unreadable(Exception):
    """Ends the whole walk, as the exception does in JavaScript."""

    def __init__(self, mismatch: Mismatch) -> None:
        self.mismatch = mismatch


def _explain(tree: FilterNode, value: object, steps: tuple[str, ...]) -> Mismatch | None:
    if not tree:
        return None
    if value is None or value is MISSING:
        return Mismatch(steps, MismatchKind.NO_MEMBERS, "", tree, value)
    for key, node in tree.items():
        groups = alternatives_of(key, node)
        if groups is not None:
            mismatch = _explain_alternatives(groups, value, steps)
            if mismatch is not None:
                return mismatch
            continue
        inner = (*steps, key)
        found = _read(key, value, node, inner)
        if isinstance(node, Mapping):
            mismatch = _explain_nested(node, found, inner)
        else:
            mismatch = _explain_conditions(node, found, inner)
        if mismatch is not None:
            return mismatch
    return None


def _explain_alternatives(
    groups: Sequence[Sequence[FilterNode]], value: object, steps: tuple[str, ...]
) -> Mismatch | None:
    """Of each group one filter must hold for the value itself."""
    for group in groups:
        if not any(_holds(tree, value, steps) for tree in group):
            return Mismatch(steps, MismatchKind.CONDITION, OR, group, value)
    return None


def _holds(tree: FilterNode, value: object, steps: tuple[str, ...]) -> bool:
    try:
        return _explain(tree, value, steps) is None
    except _Unreadable:
        return False


def _read(
    key: str, value: object, node: FilterNode | Sequence[object], steps: tuple[str, ...]
) -> object:
    member = Property(key)
    if type(value) is dict:
        return cast("dict[str, object]", value).get(key, member.inherited)
    try:
        return member.read(value)
    except PropertyRefused:
        raise _Unreadable(Mismatch(steps, MismatchKind.UNREADABLE, "", node, MISSING)) from None


def _explain_nested(tree: FilterNode, value: object, steps: tuple[str, ...]) -> Mismatch | None:
    """Of a list, one element must match; an empty one has none."""
    if type(value) is not list:
        return _explain(tree, value, steps)
    elements = cast("list[object]", value)
    if any(_explain(tree, element, steps) is None for element in elements):
        return None
    return Mismatch(steps, MismatchKind.NO_ELEMENT, "", tree, value)


def _explain_conditions(
    conditions: Sequence[object], value: object, steps: tuple[str, ...]
) -> Mismatch | None:
    if is_scalar_list(conditions):
        if not conditions or is_one_of(conditions)(value):
            return None
        return Mismatch(steps, MismatchKind.CONDITION, "", conditions, value)
    for condition in conditions:
        item = cast("Mapping[str, object]", condition)
        if not compile_operator(item)(value):
            [(name, operand)] = item.items()
            return Mismatch(steps, MismatchKind.CONDITION, name, operand, value)
    return None
