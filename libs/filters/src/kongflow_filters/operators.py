"""The 13 operators of filters: what each takes, and what it asks of a value.

Values are compared as JavaScript's `===` does: a number never equals a boolean, 1 equals 1.0,
an array or object equals nothing. The rules are in docs/behaviour/filters.md#operators.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from kongflow_filters.ignore_case import IgnoreCaseText, ignore_case_key
from kongflow_filters.javascript_values import (
    MISSING,
    has_surrogates,
    is_number,
    to_double,
    utf16,
)

__all__ = [
    "IGNORE_CASE_EQUALS",
    "OPERATORS",
    "Check",
    "Operator",
    "ignore_case_equals",
    "is_one_of",
    "is_scalar_list",
]

IGNORE_CASE_EQUALS: Final = "$ignoreCaseEquals"

Check: TypeAlias = Callable[[object], bool]
"""A condition, ready to be asked about a value; MISSING stands for `undefined`."""

# Below this a comparison of an int with a double is the same as one of two doubles.
_EXACT_INTEGERS: Final = 2.0**53


@dataclass(frozen=True, slots=True)
class Operator:
    """`operand` describes the valid operands that `takes` accepts; `compile` makes the check."""

    operand: str
    takes: Callable[[object], bool]
    compile: Callable[[object], Check]


def is_scalar_list(items: Sequence[object]) -> bool:
    """Whether all are strings, all numbers or all booleans; an empty list is all of that."""
    return (
        all(type(item) is str for item in items)
        or all(map(_is_finite_kind, items))
        or all(type(item) is bool for item in items)
    )


def is_one_of(values: Sequence[object]) -> Check:
    """Whether the value is one of these, which are of one kind (see is_scalar_list)."""
    if len(values) == 1:
        return _equals(values[0])
    if all(type(value) is str for value in values):
        strings = frozenset(values)
        return lambda value: type(value) is str and value in strings
    if all(type(value) is bool for value in values):
        booleans = frozenset(values)
        return lambda value: type(value) is bool and value in booleans
    numbers = frozenset(to_double(cast("float", value)) for value in values)
    return lambda value: is_number(value) and to_double(cast("float", value)) in numbers


def _is_finite_kind(value: object) -> bool:
    """Whether the value is a number and not NaN; infinities come from literals like 1e400."""
    return is_number(value) and value == value  # noqa: PLR0124 - only NaN differs from itself


def _is_string(value: object) -> bool:
    return type(value) is str


def _is_boolean(value: object) -> bool:
    return type(value) is bool


def _is_scalar(value: object) -> bool:
    return _is_string(value) or _is_boolean(value) or _is_finite_kind(value)


def _is_scalar_or_list(value: object) -> bool:
    if type(value) is list or type(value) is tuple:
        return is_scalar_list(cast("Sequence[object]", value))
    return _is_scalar(value)


def _is_range(value: object) -> bool:
    if type(value) is not list and type(value) is not tuple:
        return False
    bounds = cast("Sequence[object]", value)
    return len(bounds) == 2 and all(map(_is_finite_kind, bounds))


def _equals(operand: object) -> Check:
    if type(operand) is str:
        return lambda value: value == operand
    if type(operand) is bool:
        return lambda value: value is operand
    number = to_double(cast("float", operand))
    if abs(number) < _EXACT_INTEGERS:
        return lambda value: value == number and type(value) is not bool
    return lambda value: is_number(value) and to_double(cast("float", value)) == number


def _ends_with(operand: object) -> Check:
    end = cast("str", operand)
    if has_surrogates(end):
        units = utf16(end)
        return lambda value: type(value) is str and utf16(value).endswith(units)
    return lambda value: type(value) is str and value.endswith(end)


def _starts_with(operand: object) -> Check:
    start = cast("str", operand)
    if has_surrogates(start):
        units = utf16(start)
        return lambda value: type(value) is str and utf16(value).startswith(units)
    return lambda value: type(value) is str and value.startswith(start)


def ignore_case_equals(operand: object, key_of: Callable[[str], str] = ignore_case_key) -> Check:
    """The check of IGNORE_CASE_EQUALS, with another way to come to the key of a text."""
    text = IgnoreCaseText(cast("str", operand), key_of)
    return lambda value: type(value) is str and text.equals(value, key_of)


def _exists(operand: object) -> Check:
    if operand:
        return lambda value: value is not MISSING
    return lambda value: value is MISSING


def _is_null(operand: object) -> Check:
    if operand:
        return lambda value: value is None
    return lambda value: value is not None


def _anything_but(operand: object) -> Check:
    if type(operand) is list or type(operand) is tuple:
        excluded = cast("Sequence[object]", operand)
        if not excluded:
            return lambda _: True
        is_excluded = is_one_of(excluded)
    else:
        is_excluded = _equals(operand)
    return lambda value: not is_excluded(value)


def _greater_than(operand: object) -> Check:
    bound = to_double(cast("float", operand))
    return lambda value: is_number(value) and to_double(cast("float", value)) > bound


def _less_than(operand: object) -> Check:
    bound = to_double(cast("float", operand))
    return lambda value: is_number(value) and to_double(cast("float", value)) < bound


def _at_least(operand: object) -> Check:
    bound = to_double(cast("float", operand))
    return lambda value: is_number(value) and to_double(cast("float", value)) >= bound


def _at_most(operand: object) -> Check:
    bound = to_double(cast("float", operand))
    return lambda value: is_number(value) and to_double(cast("float", value)) <= bound


def _between(operand: object) -> Check:
    low, high = map(to_double, cast("Sequence[float]", operand))
    return lambda value: is_number(value) and low <= to_double(cast("float", value)) <= high


def _includes(operand: object) -> Check:
    is_operand = _equals(operand)
    return lambda value: type(value) is list and any(map(is_operand, value))


def _not(operand: object) -> Check:
    is_operand = _equals(operand)

    def differs(value: object) -> bool:
        if type(value) is list:
            return not any(map(is_operand, value))
        # Missing, null and objects are not "different": the original answers false for them.
        return (type(value) in _SCALARS) and not is_operand(value)

    return differs


_SCALARS: Final = frozenset({str, int, float, bool})
_NUMBER: Final = "a number"

# The order decides which operator counts when an object has several: it is the order of the
# original's schema, not the order in which they are written.
OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "$endsWith": Operator("a string", _is_string, _ends_with),
        "$startsWith": Operator("a string", _is_string, _starts_with),
        IGNORE_CASE_EQUALS: Operator("a string", _is_string, ignore_case_equals),
        "$exists": Operator("true or false", _is_boolean, _exists),
        "$isNull": Operator("true or false", _is_boolean, _is_null),
        "$anythingBut": Operator(
            "a string, number or boolean, or a list of one of these kinds",
            _is_scalar_or_list,
            _anything_but,
        ),
        "$gt": Operator(_NUMBER, _is_finite_kind, _greater_than),
        "$lt": Operator(_NUMBER, _is_finite_kind, _less_than),
        "$gte": Operator(_NUMBER, _is_finite_kind, _at_least),
        "$lte": Operator(_NUMBER, _is_finite_kind, _at_most),
        "$between": Operator("a list of two numbers", _is_range, _between),
        "$includes": Operator("a string, number or boolean", _is_scalar, _includes),
        "$not": Operator("a string, number or boolean", _is_scalar, _not),
    }
)
"""By name, in the order of precedence."""
