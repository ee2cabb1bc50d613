"""Why a filter does not hold for a value: the first condition, in the filter's order, that fails.

Agrees with CompiledFilter on every value, which walks the same tree without remembering where it
is. The rules are in docs/behaviour/filters.md#explain.

It counts its steps, and gives up where a filter and a value would take too many of them: each
element of a list may be asked each condition of a filter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, cast

from kongflow_filters.compiled_filter import compile_operator
from kongflow_filters.effort import MAX_STEPS, Effort
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
from kongflow_filters.match_list import EXTENSION, OR, count_entries
from kongflow_filters.operators import Check, is_one_of, is_scalar_list
from kongflow_filters.text_reader import OF_READ, PER_STEP, RememberingReader
from kongflow_filters.text_weight import looks_into_texts, scans_of

__all__ = ["Mismatch", "MismatchKind", "explain", "explain_member", "weight_of"]


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

    TOO_LARGE = "too_large"
    """More steps would have to be taken than are allowed."""


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
        return _explain(event_filter.tree, value, path_steps(path), _Work())
    except _Unreadable as error:
        return error.mismatch


def explain_member(
    event_filter: EventFilter, value: object, path: str = "", effort: Effort | None = None
) -> Mismatch | None:
    """The same for a value that is a member of an object. See CompiledFilter.matches_member.

    With an `effort` the steps are taken off what it has left.
    """
    work = _Work() if effort is None else _Work(effort.allowance)
    try:
        return _explain_nested(event_filter.tree, value, path_steps(path), work)
    except _Unreadable as error:
        return error.mismatch
    finally:
        if effort is not None:
            effort.spend(work.spent)


def weight_of(event_filter: EventFilter) -> int:
    """How many steps the filter takes at most for each value that there is to be asked."""
    return _weight(event_filter.tree)


def _weight(tree: FilterNode) -> int:
    weight = 1
    for key, node in tree.items():
        groups = alternatives_of(key, node)
        if groups is not None:
            weight += sum(_weight(each) for group in groups for each in group)
        elif isinstance(node, Mapping):
            weight += _weight(node)
        elif not is_scalar_list(node):
            weight += sum(_weight_of_condition(cast("Mapping[str, object]", each)) for each in node)
        weight += 1
    return weight


def _weight_of_condition(item: Mapping[str, object]) -> int:
    return count_entries(item[EXTENSION]) if EXTENSION in item else 1


class _Work:
    """The steps of one walk, and the conditions that it has compiled."""

    def __init__(self, at_most: int = MAX_STEPS) -> None:
        self._at_most = self._left = at_most
        # By their place in memory: the filter is there for as long as it is walked.
        self._checks: dict[int, _Condition] = {}
        self._scalars: dict[int, tuple[Check | None]] = {}
        self._properties: dict[str, Property] = {}
        self.reader = RememberingReader()

    @property
    def spent(self) -> int:
        """How many steps were taken."""
        return self._at_most - max(self._left, 0)

    def spend(self, steps: int, place: tuple[str, ...]) -> None:
        """Raises _Unreadable when there are none left."""
        self._left -= steps
        if self._left < 0:
            raise _TooLarge(Mismatch(place, MismatchKind.TOO_LARGE, "", MISSING, MISSING))

    def property(self, key: str) -> Property:
        """How a key is read."""
        found = self._properties.get(key)
        if found is None:
            found = self._properties[key] = Property(key)
        return found

    def scalars(self, conditions: Sequence[object]) -> Check | None:
        """Whether a value is one of those in a list of the filter; None for other lists."""
        found = self._scalars.get(id(conditions))
        if found is None:
            of_scalars = is_scalar_list(conditions)
            found = (_compile_scalars(conditions) if of_scalars else None,)
            self._scalars[id(conditions)] = found
        return found[0]

    def condition(self, item: Mapping[str, object]) -> "_Condition":
        """A condition of the filter, ready to be asked."""
        found = self._checks.get(id(item))
        if found is None:
            check = compile_operator(item, self.reader)
            found = _Condition(check, _weight_of_condition(item), scans_of(item))
            self._checks[id(item)] = found
        return found

    def spend_on_reading(self, place: tuple[str, ...]) -> None:
        """The same for what reading texts took."""
        steps, self.reader.spent = divmod(self.reader.spent, PER_STEP)
        self.spend(steps, place)


class _Condition(NamedTuple):
    """A check, the steps that a value takes, and what a character takes; PER_STEP are a step."""

    check: Check
    weight: int
    scans: int


def _compile_scalars(values: Sequence[object]) -> Check:
    return is_one_of(values) if values else lambda _: True


class _Unreadable(Exception):
    """Ends the whole walk, as the exception does in JavaScript."""

    def __init__(self, mismatch: Mismatch) -> None:
        self.mismatch = mismatch


class _TooLarge(_Unreadable):
    """Ends the walk, whatever other alternatives there are."""


def _explain(
    tree: FilterNode, value: object, steps: tuple[str, ...], work: _Work
) -> Mismatch | None:
    work.spend(1 + len(tree), steps)
    if not tree:
        return None
    if value is None or value is MISSING:
        return Mismatch(steps, MismatchKind.NO_MEMBERS, "", tree, value)
    for key, node in tree.items():
        groups = alternatives_of(key, node)
        if groups is not None:
            mismatch = _explain_alternatives(groups, value, steps, work)
            if mismatch is not None:
                return mismatch
            continue
        inner = (*steps, key)
        found = _read(key, value, node, inner, work)
        if isinstance(node, Mapping):
            mismatch = _explain_nested(node, found, inner, work)
        else:
            mismatch = _explain_conditions(node, found, inner, work)
        if mismatch is not None:
            return mismatch
    return None


def _explain_alternatives(
    groups: Sequence[Sequence[FilterNode]], value: object, steps: tuple[str, ...], work: _Work
) -> Mismatch | None:
    """Of each group one filter must hold for the value itself."""
    for group in groups:
        if not any(_holds(tree, value, steps, work) for tree in group):
            return Mismatch(steps, MismatchKind.CONDITION, OR, group, value)
    return None


def _holds(tree: FilterNode, value: object, steps: tuple[str, ...], work: _Work) -> bool:
    try:
        return _explain(tree, value, steps, work) is None
    except _TooLarge:
        raise
    except _Unreadable:
        return False


def _read(
    key: str,
    value: object,
    node: FilterNode | Sequence[object],
    steps: tuple[str, ...],
    work: _Work,
) -> object:
    member = work.property(key)
    if type(value) is dict:
        return cast("dict[str, object]", value).get(key, member.inherited)
    if type(value) is str and looks_into_texts(key):
        work.spend(OF_READ * len(value) // PER_STEP, steps)
    try:
        return member.read(value)
    except PropertyRefused:
        raise _Unreadable(Mismatch(steps, MismatchKind.UNREADABLE, "", node, MISSING)) from None


def _explain_nested(
    tree: FilterNode, value: object, steps: tuple[str, ...], work: _Work
) -> Mismatch | None:
    """Of a list, one element must match; an empty one has none."""
    if type(value) is not list:
        return _explain(tree, value, steps, work)
    elements = cast("list[object]", value)
    if any(_explain(tree, element, steps, work) is None for element in elements):
        return None
    return Mismatch(steps, MismatchKind.NO_ELEMENT, "", tree, value)


def _explain_conditions(
    conditions: Sequence[object], value: object, steps: tuple[str, ...], work: _Work
) -> Mismatch | None:
    is_one = work.scalars(conditions)
    if is_one is not None:
        if is_one(value):
            return None
        return Mismatch(steps, MismatchKind.CONDITION, "", conditions, value)
    for condition in conditions:
        item = cast("Mapping[str, object]", condition)
        check, weight, scans = work.condition(item)
        # An operator may look at each element of a list.
        work.spend(weight * (1 + len(value) if type(value) is list else 1), steps)
        if scans:
            work.spend(scans * _characters(value) // PER_STEP, steps)
        holds = check(value)
        if work.reader.spent >= PER_STEP:
            work.spend_on_reading(steps)
        if not holds:
            [(name, operand)] = item.items()
            return Mismatch(steps, MismatchKind.CONDITION, name, operand, value)
    return None


def _characters(value: object) -> int:
    """How many characters a text or the texts of a list have."""
    if type(value) is str:
        return len(value)
    elements = cast("list[object]", value) if type(value) is list else ()
    return sum(len(each) for each in elements if type(each) is str)
