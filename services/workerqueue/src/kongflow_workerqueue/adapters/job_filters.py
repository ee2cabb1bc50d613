"""Filters over queued jobs: as conditions, and as what they say of a group of jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy import ColumnElement, Numeric, Text, case, cast, false, func, literal, or_
from sqlalchemy.dialects.postgresql import JSONB

from kongflow_common.db.filter_sql import FilterTarget
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import And, Comparison, Filter, Not, Operator, Or
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS
from kongflow_workerqueue.application.ports import JobPlace
from kongflow_workerqueue.domain.outcome import StatusCode
from kongflow_workerqueue.domain.states import JobState, Priority

__all__ = [
    "NEWEST",
    "NEWEST_ERROR",
    "OLDEST",
    "TARGETS",
    "Group",
    "holds_for",
    "is_told_by_group",
    "places_of",
]

_COLUMNS = QUEUED_JOBS.c
NEWEST_ERROR = _COLUMNS.errors[-1]
OLDEST = JobPlace(datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))
"""A place before which no job is."""
NEWEST = JobPlace(datetime(9999, 12, 30, tzinfo=UTC), UUID(int=(1 << 128) - 1))
"""A place after which no job is."""
_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
# As proto JSON writes the 64-bit numbers.
_INTEGER_TEXT = "^-?[0-9]{1,19}$"


def _state(comparison: Comparison) -> ColumnElement[bool]:
    return _equality(comparison, _COLUMNS.state, JobState[str(comparison.value)].value)


def _priority(comparison: Comparison) -> ColumnElement[bool]:
    return _equality(comparison, _COLUMNS.priority, Priority[str(comparison.value)].value)


def _error_code(comparison: Comparison) -> ColumnElement[bool]:
    code = StatusCode[str(comparison.value)].value
    # A job without errors is unlike every code.
    is_other: ColumnElement[bool] = (
        NEWEST_ERROR["status"]["code"].as_integer().is_distinct_from(code)
    )
    return ~is_other if comparison.operator is Operator.EQUAL else is_other


def _tag(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.operator not in _EQUALITY:
        raise InvalidField("filter", "tag is compared with = and != only")
    has_tag = func.coalesce(_COLUMNS.tags.contains([str(comparison.value)]), false())
    return has_tag if comparison.operator is Operator.EQUAL else ~has_tag


def _tags(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.operator is Operator.PRESENT:
        return func.coalesce(func.cardinality(_COLUMNS.tags) > 0, false())
    return func.coalesce(_COLUMNS.tags.contains([str(comparison.value)]), false())


def _argument(comparison: Comparison) -> ColumnElement[bool]:
    # Not `#>` with a path: SQLAlchemy writes it as one text and quotes nothing in it.
    path = [cast(literal(member), Text()) for member in comparison.path]
    found = func.jsonb_extract_path(_COLUMNS.args, *path, type_=JSONB) if path else _COLUMNS.args
    value = comparison.value
    if comparison.operator is Operator.PRESENT:
        return func.coalesce(func.jsonb_typeof(found) != "null", false())
    if comparison.operator is Operator.HAS:
        return func.coalesce(_has(found, value), false())
    if comparison.operator in _EQUALITY:
        equal = func.coalesce(found.in_([func.to_jsonb(each) for each in _as_json(value)]), false())
        return equal if comparison.operator is Operator.EQUAL else ~equal
    if isinstance(value, bool):
        raise InvalidField("filter", "true and false are compared with = and != only")
    text = func.jsonb_extract_path_text(_COLUMNS.args, *path, type_=Text())
    kind = func.jsonb_typeof(found)
    if isinstance(value, str):
        return _order(comparison.operator, case((kind == "string", text)), value)
    number = cast(
        case((kind == "number", text), (text.regexp_match(_INTEGER_TEXT), text)), Numeric()
    )
    return _order(comparison.operator, number, value)


# Any: documents of every shape.
def _has(found: ColumnElement[Any], value: object) -> ColumnElement[bool]:
    """Whether a list holds a value, an object has a member of that name, or it is the value."""
    same = [found.contains(func.to_jsonb(each)) for each in _as_json(value)]
    if isinstance(value, bool):
        return or_(*same)
    return or_(*same, func.jsonb_exists(found, cast(literal(str(value)), Text())))


# Any: what is compared has the type of the value.
def _as_json(value: object) -> list[ColumnElement[Any]]:
    if isinstance(value, bool):
        return [literal(value)]
    if isinstance(value, int | float):
        # Proto JSON writes 64-bit numbers as texts, and a reader of arguments cannot know which.
        return [cast(literal(str(value)), Numeric()), cast(literal(str(value)), Text())]
    return [cast(literal(str(value)), Text())]


def _order(operator: Operator, found: ColumnElement[Any], value: object) -> ColumnElement[bool]:
    match operator:
        case Operator.LESS:
            return found < value
        case Operator.GREATER:
            return found > value
        case Operator.AT_MOST:
            return found <= value
        case Operator.AT_LEAST:
            return found >= value
        case Operator.EQUAL | Operator.NOT_EQUAL | Operator.HAS | Operator.PRESENT:
            raise ValueError(f"{operator.value} is no order")
        case _:
            assert_never(operator)


def _equality(
    comparison: Comparison, column: ColumnElement[Any], value: str | int
) -> ColumnElement[bool]:
    # The language of filters lets enums be compared in these two ways only.
    return column == value if comparison.operator is Operator.EQUAL else column != value


TARGETS: Mapping[str, FilterTarget] = {
    "state": _state,
    "kind": _COLUMNS.kind,
    "queue": _COLUMNS.queue,
    "priority": _priority,
    "environment_id": _COLUMNS.environment_id,
    "create_time": _COLUMNS.created_at,
    "run_time": _COLUMNS.run_at,
    "end_time": _COLUMNS.finalized_at,
    "tag": _tag,
    "tags": _tags,
    "error_code": _error_code,
    "args": _argument,
}
"""What each field of a filter over queued jobs is compared with."""


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that are listed together; None stands for any queue or kind."""

    state: str
    queue: str | None
    kind: str | None


def holds_for(tree: Filter, group: Group) -> bool | None:
    """Tell whether a filter holds for every job of a group, for none, or (None) for some."""
    if isinstance(tree, Comparison):
        return _compared(tree, group)
    if isinstance(tree, Not):
        held = holds_for(tree.item, group)
        return None if held is None else not held
    answers = {holds_for(item, group) for item in tree.items}
    decisive = isinstance(tree, Or)
    if decisive in answers:
        return decisive
    return None if None in answers else not decisive


def _compared(comparison: Comparison, group: Group) -> bool | None:
    actual: str | None
    match comparison.field:
        case "state":
            actual, wanted = group.state, JobState[str(comparison.value)].value
        case "queue":
            actual, wanted = group.queue, str(comparison.value)
        case "kind":
            actual, wanted = group.kind, str(comparison.value)
        case _:
            return None
    if actual is None or comparison.operator not in _EQUALITY:
        # Which of two texts comes first is for the database to say.
        return None
    return (actual == wanted) is (comparison.operator is Operator.EQUAL)


def places_of(tree: Filter | None) -> tuple[JobPlace, JobPlace]:
    """Return the places between which all jobs of a filter are: from the older one to the newer.

    The older one may be a job's, the newer one is not.
    """
    oldest, newest = OLDEST, NEWEST
    for each in _conjuncts(tree):
        value = each.value
        if not isinstance(value, datetime) or each.field not in {"create_time", "end_time"}:
            continue
        before, after = JobPlace(value, OLDEST.id), JobPlace(value, NEWEST.id)
        match each.operator:
            case Operator.LESS:
                newest = min(newest, before)
            case Operator.AT_MOST | Operator.EQUAL:
                newest = min(newest, after)
            case (
                Operator.GREATER
                | Operator.AT_LEAST
                | Operator.NOT_EQUAL
                | Operator.HAS
                | Operator.PRESENT
            ):
                pass
            case _:
                assert_never(each.operator)
        if each.field == "end_time":
            # A job has ended after it was created, nobody knows how long.
            continue
        match each.operator:
            case Operator.GREATER:
                oldest = max(oldest, after)
            case Operator.AT_LEAST | Operator.EQUAL:
                oldest = max(oldest, before)
            case (
                Operator.LESS
                | Operator.AT_MOST
                | Operator.NOT_EQUAL
                | Operator.HAS
                | Operator.PRESENT
            ):
                pass
            case _:
                assert_never(each.operator)
    return oldest, newest


def is_told_by_group(tree: Filter | None) -> bool:
    """Tell whether a job's group and time of creation say all that a filter asks."""
    if tree is None:
        return True
    if isinstance(tree, And):
        return all(is_told_by_group(item) for item in tree.items)
    if isinstance(tree, Comparison) and tree.field == "create_time":
        return tree.operator is not Operator.NOT_EQUAL
    return _only_groups(tree)


def _only_groups(tree: Filter) -> bool:
    if isinstance(tree, Comparison):
        return tree.field in {"state", "queue", "kind"} and tree.operator in _EQUALITY
    items = (tree.item,) if isinstance(tree, Not) else tree.items
    return all(_only_groups(item) for item in items)


def _conjuncts(tree: Filter | None) -> list[Comparison]:
    if isinstance(tree, Comparison):
        return [tree]
    if isinstance(tree, And):
        return [each for item in tree.items for each in _conjuncts(item)]
    return []
