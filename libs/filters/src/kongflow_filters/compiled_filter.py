"""Filters compiled once into closures and asked about many values.

The rules are in docs/behaviour/filters.md#matching.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from kongflow_filters.event_filter import EventFilter, FilterNode, alternatives_of
from kongflow_filters.javascript_objects import PropertyRefused
from kongflow_filters.javascript_properties import Property
from kongflow_filters.javascript_values import MISSING
from kongflow_filters.match_list import EXTENSION, compile_match_list
from kongflow_filters.operators import (
    IGNORE_CASE_EQUALS,
    OPERATORS,
    Check,
    ignore_case_equals,
    is_one_of,
    is_scalar_list,
)
from kongflow_filters.text_reader import TextReader

__all__ = ["CompiledFilter", "compile_operator"]

_READER: Final = TextReader()


class CompiledFilter:
    """A filter that is ready to be asked about values."""

    __slots__ = ("_matches", "_matches_member")

    def __init__(self, event_filter: EventFilter) -> None:
        self._matches = _compile(event_filter.tree)
        self._matches_member = _through_arrays(self._matches, empty=not event_filter.tree)

    def matches(self, value: object) -> bool:
        """Whether the filter holds for the value, as the original's eventFilterMatches says."""
        try:
            return self._matches(value)
        except PropertyRefused:
            return False

    def matches_member(self, value: object) -> bool:
        """The same for a value that is a member of an object: of an array one element must match.

        An empty array has none, so even the empty filter does not match it. Where JavaScript
        would throw, the filter does not match.
        """
        try:
            return self._matches_member(value)
        except PropertyRefused:
            return False


def _compile(tree: FilterNode) -> Check:
    if not tree:
        return lambda _: True
    groups = alternatives_of(EXTENSION, tree.get(EXTENSION, ()))
    if groups is not None:
        plain = {key: node for key, node in tree.items() if key != EXTENSION}
        return _with_alternatives(_compile(plain), groups)
    members = [(Property(key), _compile_member(node)) for key, node in tree.items()]
    in_objects = tuple((each.key, each.inherited, check) for each, check in members)

    def matches(value: object) -> bool:
        if type(value) is dict:
            for key, inherited, check in in_objects:  # noqa: SIM110 - a generator costs more
                if not check(value.get(key, inherited)):
                    return False
            return True
        if value is None or value is MISSING:
            return False
        return all(check(each.read(value)) for each, check in members)

    return matches


def _with_alternatives(matches: Check, groups: Sequence[Sequence[FilterNode]]) -> Check:
    """What else a filter asks, and of each group one filter; of the same value."""
    compiled = [[_compile(tree) for tree in group] for group in groups]

    def matches_with_one_of_each(value: object) -> bool:
        if value is None or value is MISSING or not matches(value):
            return False
        return all(any(_holds(check, value) for check in group) for group in compiled)

    return matches_with_one_of_each


def _holds(check: Check, value: object) -> bool:
    """Where JavaScript refuses to read, this alternative does not hold; another may."""
    try:
        return check(value)
    except PropertyRefused:
        return False


def _compile_member(node: FilterNode | Sequence[object]) -> Check:
    if isinstance(node, Mapping):
        return _through_arrays(_compile(node), empty=not node)
    if not node:
        return lambda _: True
    if is_scalar_list(node):
        return is_one_of(node)
    checks = tuple(compile_operator(cast("Mapping[str, object]", item)) for item in node)
    if len(checks) == 1:
        return checks[0]

    def all_hold(value: object) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs more
            if not check(value):
                return False
        return True

    return all_hold


def compile_operator(item: Mapping[str, object], reader: TextReader = _READER) -> Check:
    """The check of one parsed condition."""
    [(name, operand)] = item.items()
    if name == EXTENSION:
        return compile_match_list(operand, reader)
    if name == IGNORE_CASE_EQUALS:
        return ignore_case_equals(operand, reader.ignore_case_key)
    return OPERATORS[name].compile(operand)


def _through_arrays(matches: Check, *, empty: bool) -> Check:
    """Of an array, one element must match."""
    if empty:
        return lambda value: type(value) is not list or len(value) > 0

    def matches_member(value: object) -> bool:
        if type(value) is list:
            for element in value:  # noqa: SIM110 - a generator costs more
                if matches(element):
                    return True
            return False
        return matches(value)

    return matches_member
