"""Filters as conditions of SQLAlchemy Core."""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from sqlalchemy import ColumnElement, and_, false, func, not_, or_

from kongflow_common.filtering import And, Comparison, Filter, Not, Operator, Or

__all__ = ["FilterTarget", "filter_condition"]

# Any: columns of every type are compared, each with the values of its field's type.
FilterTarget = ColumnElement[Any] | Callable[[Comparison], ColumnElement[bool]]
"""A column, or a function that makes the condition where no single column holds the field."""


def filter_condition(tree: Filter, targets: Mapping[str, FilterTarget]) -> ColumnElement[bool]:
    """Turn a filter into a condition; `targets` says what each field is compared with.

    NULL equals nothing and is unlike everything, so that `NOT` and `!=` keep such rows.
    Raises KeyError when a declared field has no target, which is a mistake of the program.
    """
    if isinstance(tree, Comparison):
        target = targets[tree.field]
        if isinstance(target, ColumnElement):
            return _compare(target, tree)
        return target(tree)
    if isinstance(tree, And):
        return and_(*(filter_condition(item, targets) for item in tree.items))
    if isinstance(tree, Or):
        return or_(*(filter_condition(item, targets) for item in tree.items))
    if isinstance(tree, Not):
        return not_(func.coalesce(filter_condition(tree.item, targets), false()))
    assert_never(tree)


# Any: see FilterTarget.
def _compare(column: ColumnElement[Any], comparison: Comparison) -> ColumnElement[bool]:
    value = comparison.value
    match comparison.operator:
        case Operator.EQUAL:
            return column == value
        case Operator.NOT_EQUAL:
            return column.is_distinct_from(value)
        case Operator.LESS:
            return column < value
        case Operator.GREATER:
            return column > value
        case Operator.AT_MOST:
            return column <= value
        case Operator.AT_LEAST:
            return column >= value
        case Operator.HAS | Operator.PRESENT:
            raise TypeError(f"the column {column} holds one value: {comparison.field} has no parts")
        case _:
            assert_never(comparison.operator)
