"""The match lists of event patterns: what may stand in `{"$kongflow": [...]}`.

A condition that the original's schema refuses, so that no filter of the original means anything
else than it did. A list holds when one of its entries does; a value that is a list, when one of its
elements does. The rules are in docs/behaviour/filters.md#patterns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from kongflow_filters.address_range import AddressRanges, parse_range
from kongflow_filters.javascript_values import is_number, to_double
from kongflow_filters.operators import OPERATORS, Check, is_one_of
from kongflow_filters.simple_case import ends_with_ignoring_case, equals_ignoring_case
from kongflow_filters.simple_case import starts_with_ignoring_case as starts_ignoring_case
from kongflow_filters.text_reader import TextReader
from kongflow_filters.wildcard import Wildcard

__all__ = [
    "EXTENSION",
    "OR",
    "BadEntry",
    "check_match_list",
    "compile_match_list",
    "count_entries",
    "count_foldings",
    "count_wildcards",
    "has_ranges",
]

EXTENSION: Final = "$kongflow"
"""The operator that holds a match list, and the key that holds alternatives."""

OR: Final = "$or"

MAX_ENTRIES: Final = 1_000
"""Of one list."""

_IGNORING_CASE: Final = "equals-ignore-case"
_RANGE: Final = "cidr"
_MOST_RANGES_COUNTED: Final = 20


class BadEntry(ValueError):
    """What is wrong in a match list, and the steps from the list to it."""

    def __init__(self, steps: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.steps = steps
        self.reason = reason


_Compile: TypeAlias = Callable[[object, TextReader], Check]


@dataclass(frozen=True, slots=True)
class _Matcher:
    """`check` raises BadEntry; `compile` makes what is asked of one value that is no list."""

    check: Callable[[object], None]
    compile: _Compile


def check_match_list(items: object) -> None:
    """Raises BadEntry where the list is none."""
    entries = _list(items, "must be a list of values and matchers that is not empty")
    for index, entry in enumerate(entries):
        if entry is None or _is_scalar(entry):
            continue
        with _Inside(index):
            _check_matcher(entry, _MATCHERS, "must be a string, number, boolean, null or a matcher")


def count_wildcards(items: object) -> int:
    """How many texts with stars a list that was checked holds; each reads a whole value."""
    count = 0
    for entry in cast("Sequence[object]", items):
        if isinstance(entry, Mapping):
            [(name, operand)] = entry.items()
            if name == "anything-but" and isinstance(operand, Mapping):
                count += count_wildcards([operand])
            elif name == "wildcard":
                count += len(operand) if type(operand) is list else 1
    return count


def count_foldings(items: object) -> int:
    """How many texts that are equal but for the case a list that was checked holds."""
    count = 0
    for entry in cast("Sequence[object]", items):
        if isinstance(entry, Mapping):
            [(name, operand)] = entry.items()
            for each in operand if type(operand) is list else [operand]:
                if name == "anything-but" and isinstance(each, Mapping):
                    count += count_foldings([each])
                else:
                    count += name == _IGNORING_CASE or isinstance(each, Mapping)
    return count


def count_entries(items: object) -> int:
    """How many values and matchers a list that was checked holds, those of `anything-but` too.

    Of ranges so many as take as long one by one as all together.
    """
    count = ranges = 0
    for entry in cast("Sequence[object]", items):
        if not isinstance(entry, Mapping):
            count += 1
            continue
        [(name, operand)] = entry.items()
        if name == _RANGE:
            ranges += 1
            continue
        count += 1
        inner = next(iter(operand.values())) if isinstance(operand, Mapping) else operand
        if name == "anything-but" and type(inner) is list:
            count += len(inner)
    return count + min(ranges, _MOST_RANGES_COUNTED)


def has_ranges(items: object) -> bool:
    """Whether a list that was checked looks for addresses."""
    return any(
        isinstance(each, Mapping) and _RANGE in each for each in cast("Sequence[object]", items)
    )


def compile_match_list(items: object, reader: TextReader) -> Check:
    """The condition of a list that was checked."""
    entries = cast("Sequence[object]", items)
    checks: list[Check] = [*_equal_to([each for each in entries if _is_scalar(each)])]
    if None in entries:
        checks.append(lambda value: value is None)
    ranges: list[str] = []
    for entry in entries:
        if isinstance(entry, Mapping):
            [(name, operand)] = entry.items()
            if name == _RANGE:
                ranges.append(cast("str", operand))
            else:
                checks.append(_MATCHERS[name].compile(operand, reader))
    if ranges:
        checks.append(_in_ranges(ranges, reader))
    one = checks[0] if len(checks) == 1 else _any(checks)

    def holds(value: object) -> bool:
        if type(value) is list:
            # What stands in lists of lists is looked at by no operator.
            return one(value) or any(one(each) for each in value if type(each) is not list)
        return one(value)

    return holds


def _in_ranges(texts: Sequence[str], reader: TextReader) -> Check:
    """Whether a value is an address of one of the ranges, however many they are."""
    ranges = AddressRanges(texts, reader.address)

    def holds(value: object) -> bool:
        address = reader.address(value) if type(value) is str else None
        return address is not None and ranges.hold(address)

    return holds


class _Inside:
    """Puts a step before those of what is wrong inside."""

    def __init__(self, step: str | int) -> None:
        self._step = step

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, BadEntry):
            error.steps = (self._step, *error.steps)


def _check_matcher(entry: object, matchers: Mapping[str, _Matcher], reason: str) -> None:
    if type(entry) is not dict:
        raise BadEntry((), reason)
    names = list(cast("dict[str, object]", entry))
    if len(names) != 1 or names[0] not in matchers:
        raise BadEntry((), f"must have one matcher of {', '.join(matchers)}, and nothing else")
    with _Inside(names[0]):
        matchers[names[0]].check(cast("dict[str, object]", entry)[names[0]])


def _any(checks: Sequence[Check]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _equal_to(values: Sequence[object]) -> Iterator[Check]:
    """One check for each kind of value, as a list of one kind may be asked at once."""
    for kinds in (frozenset({str}), frozenset({bool}), frozenset({int, float})):
        of_kind = [each for each in values if type(each) in kinds]
        if of_kind:
            yield is_one_of(of_kind)


def _list(value: object, reason: str) -> Sequence[object]:
    if type(value) is not list or not value:
        raise BadEntry((), reason)
    if len(value) > MAX_ENTRIES:
        raise BadEntry((), f"has {len(value)} entries; at most {MAX_ENTRIES} are allowed")
    return cast("list[object]", value)


def _is_number(value: object) -> bool:
    return is_number(value) and abs(to_double(cast("float", value))) < float("inf")


def _is_scalar(value: object) -> bool:
    return type(value) is str or type(value) is bool or _is_number(value)


def _check_text(operand: object) -> None:
    if type(operand) is not str:
        raise BadEntry((), "must be a string")


def _check_affix(operand: object) -> None:
    if type(operand) is dict and list(operand) == [_IGNORING_CASE]:
        with _Inside(_IGNORING_CASE):
            _check_text(operand[_IGNORING_CASE])
    elif type(operand) is not str:
        raise BadEntry((), f'must be a string or {{"{_IGNORING_CASE}": a string}}')


def _check_wildcard(operand: object) -> None:
    _check_text(operand)
    try:
        Wildcard(cast("str", operand))
    except ValueError as error:
        raise BadEntry((), str(error)) from None


def _check_range(operand: object) -> None:
    _check_text(operand)
    try:
        parse_range(cast("str", operand))
    except ValueError as error:
        raise BadEntry((), str(error)) from None


def _check_flag(operand: object) -> None:
    if type(operand) is not bool:
        raise BadEntry((), "must be true or false")


_LOWER: Final = (">", ">=")
_UPPER: Final = ("<", "<=")


def _check_numeric(operand: object) -> None:
    reason = (
        'must be ["=", number], or one of > and >=, or one of < and <=, with a number each, or both'
        " in this order"
    )
    items = _list(operand, reason)
    if len(items) not in {2, 4}:
        raise BadEntry((), reason)
    for index in range(1, len(items), 2):
        if not _is_number(items[index]):
            raise BadEntry((index,), "must be a number")
    if len(items) == 2 and items[0] not in ("=", *_LOWER, *_UPPER):
        raise BadEntry((0,), reason)
    if len(items) == 4:
        if items[0] not in _LOWER or items[2] not in _UPPER:
            raise BadEntry((), reason)
        low, high = to_double(cast("float", items[1])), to_double(cast("float", items[3]))
        if low > high or (low == high and (items[0], items[2]) != (">=", "<=")):
            raise BadEntry((), "no number is above the first bound and below the second")


def _check_anything_but(operand: object) -> None:
    if _is_scalar(operand):
        return
    if type(operand) is list:
        excluded = _list(operand, "must not be empty")
        for index, each in enumerate(excluded):
            if not _is_scalar(each):
                raise BadEntry((index,), "must be a string, number or boolean")
        return
    _check_matcher(
        operand,
        _EXCLUDING,
        "must be a string, number, boolean, a list of them or a matcher",
    )


def _check_texts(of_one: Callable[[object], None]) -> Callable[[object], None]:
    def check(operand: object) -> None:
        if type(operand) is not list:
            of_one(operand)
            return
        for index, each in enumerate(_list(operand, "must not be empty")):
            with _Inside(index):
                of_one(each)

    return check


def _compile_texts(of_one: _Compile) -> _Compile:
    def compile_(operand: object, reader: TextReader) -> Check:
        operands = operand if type(operand) is list else [operand]
        return _any([of_one(each, reader) for each in operands])

    return compile_


def _prefix(operand: object, reader: TextReader) -> Check:
    if type(operand) is dict:
        return starts_ignoring_case(operand[_IGNORING_CASE], reader.letters)
    return OPERATORS["$startsWith"].compile(operand)


def _suffix(operand: object, reader: TextReader) -> Check:
    if type(operand) is dict:
        return ends_with_ignoring_case(operand[_IGNORING_CASE], reader.letters)
    return OPERATORS["$endsWith"].compile(operand)


def _wildcard(operand: object, _: TextReader) -> Check:
    wildcard = Wildcard(cast("str", operand))
    return lambda value: type(value) is str and wildcard.matches(value)


def _equals_ignore_case(operand: object, reader: TextReader) -> Check:
    return equals_ignoring_case(cast("str", operand), reader.letters)


def _cidr(operand: object, reader: TextReader) -> Check:
    return _in_ranges([cast("str", operand)], reader)


def _numeric(operand: object, _: TextReader) -> Check:
    items = cast("Sequence[object]", operand)
    by_sign = {"=": "$between", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
    checks = [
        OPERATORS[by_sign[cast("str", sign)]].compile((bound, bound) if sign == "=" else bound)
        for sign, bound in list(pairwise(items))[::2]
    ]
    return lambda value: all(check(value) for check in checks)


def _exists(operand: object, _: TextReader) -> Check:
    return OPERATORS["$exists"].compile(operand)


def _anything_but(operand: object, reader: TextReader) -> Check:
    if isinstance(operand, Mapping):
        [(name, inner)] = operand.items()
        is_excluded = _EXCLUDING[name].compile(inner, reader)
    else:
        excluded = operand if type(operand) is list else [operand]
        is_excluded = _any([*_equal_to(excluded)])

    def differs(value: object) -> bool:
        # Nothing that is missing, no list and no object is a value other than these.
        is_value = value is None or type(value) in _SCALARS
        return is_value and not is_excluded(value)

    return differs


_SCALARS: Final = frozenset({str, int, float, bool})

_TEXTS: Final = {
    "prefix": _Matcher(_check_affix, _prefix),
    "suffix": _Matcher(_check_affix, _suffix),
    _IGNORING_CASE: _Matcher(_check_text, _equals_ignore_case),
    "wildcard": _Matcher(_check_wildcard, _wildcard),
}

_EXCLUDING: Final[Mapping[str, _Matcher]] = MappingProxyType(
    {
        name: _Matcher(_check_texts(each.check), _compile_texts(each.compile))
        for name, each in _TEXTS.items()
    }
)
"""What may stand in `anything-but`."""

_MATCHERS: Final[Mapping[str, _Matcher]] = MappingProxyType(
    {
        **_TEXTS,
        "anything-but": _Matcher(_check_anything_but, _anything_but),
        _RANGE: _Matcher(_check_range, _cidr),
        "numeric": _Matcher(_check_numeric, _numeric),
        "exists": _Matcher(_check_flag, _exists),
    }
)
