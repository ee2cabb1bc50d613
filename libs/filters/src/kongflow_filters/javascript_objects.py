"""What JSON values inherit in JavaScript, as far as a filter can reach it.

The original reads `value[key]` without asking whether the property is the value's own, so a
filter on `constructor` or `toString` sees the built-in functions. Recorded from Node.js 20.
Properties under symbols and `__proto__` cannot be named by a filter and are left out.
"""

from collections.abc import Mapping
from typing import Final

from kongflow_filters.javascript_values import MISSING

__all__ = [
    "ARRAY_PROTOTYPE",
    "BOOLEAN_PROTOTYPE",
    "NUMBER_PROTOTYPE",
    "OBJECT_PROTOTYPE",
    "STRING_PROTOTYPE",
    "BuiltInObject",
    "PropertyRefused",
]


class PropertyRefused(Exception):
    """Reading the property throws a TypeError in JavaScript."""


class BuiltInObject:
    """A built-in function or prototype: its own properties, and the object it inherits from."""

    __slots__ = ("own", "prototype")

    def __init__(self, prototype: "BuiltInObject | None" = None) -> None:
        self.own: dict[str, object] = {}
        self.prototype = prototype

    def read(self, key: str) -> object:
        """The own or inherited property, or MISSING. Raises PropertyRefused."""
        holder: BuiltInObject | None = self
        while holder is not None:
            if key in holder.own:
                found = holder.own[key]
                if found is _THROWS:
                    raise PropertyRefused(key)
                return found
            holder = holder.prototype
        return MISSING


_THROWS: Final = object()

OBJECT_PROTOTYPE: Final = BuiltInObject()
"""What JSON objects inherit."""

ARRAY_PROTOTYPE: Final = BuiltInObject(OBJECT_PROTOTYPE)
"""What JSON arrays inherit."""

STRING_PROTOTYPE: Final = BuiltInObject(OBJECT_PROTOTYPE)
"""What strings inherit."""

NUMBER_PROTOTYPE: Final = BuiltInObject(OBJECT_PROTOTYPE)
"""What numbers inherit."""

BOOLEAN_PROTOTYPE: Final = BuiltInObject(OBJECT_PROTOTYPE)
"""What booleans inherit."""

_FUNCTION_PROTOTYPE: Final = BuiltInObject(OBJECT_PROTOTYPE)


def _function(name: str, length: int) -> BuiltInObject:
    function = BuiltInObject(_FUNCTION_PROTOTYPE)
    function.own.update(name=name, length=float(length))
    return function


def _methods(listed: str) -> dict[str, object]:
    """`at/1 pop/0`: functions by their names, each with the number of its parameters."""
    functions: dict[str, object] = {}
    for each in listed.split():
        name, _, length = each.partition("/")
        functions[name] = _function(name, int(length))
    return functions


def _constructor(
    name: str, prototype: BuiltInObject, methods: str, constants: Mapping[str, object] | None = None
) -> BuiltInObject:
    constructor = _function(name, 1)
    # Array.prototype is itself an empty array, and a filter treats it as one.
    constructor.own["prototype"] = [] if prototype is ARRAY_PROTOTYPE else prototype
    constructor.own.update(_methods(methods))
    constructor.own.update(constants or {})
    prototype.own["constructor"] = constructor
    return constructor


OBJECT_PROTOTYPE.own.update(
    _methods(
        "__defineGetter__/2 __defineSetter__/2 hasOwnProperty/1 __lookupGetter__/1"
        " __lookupSetter__/1 isPrototypeOf/1 propertyIsEnumerable/1 toString/0 valueOf/0"
        " toLocaleString/0"
    )
)
_constructor(
    "Object",
    OBJECT_PROTOTYPE,
    "assign/2 getOwnPropertyDescriptor/2 getOwnPropertyDescriptors/1 getOwnPropertyNames/1"
    " getOwnPropertySymbols/1 hasOwn/2 is/2 preventExtensions/1 seal/1 create/2"
    " defineProperties/2 defineProperty/3 freeze/1 getPrototypeOf/1 setPrototypeOf/2"
    " isExtensible/1 isFrozen/1 isSealed/1 keys/1 entries/1 fromEntries/1 values/1",
)

_FUNCTION_PROTOTYPE.own.update(
    {"length": 0.0, "name": "", "arguments": _THROWS, "caller": _THROWS},
    **_methods("apply/2 bind/1 call/1 toString/0"),
)
_constructor("Function", _FUNCTION_PROTOTYPE, "")

ARRAY_PROTOTYPE.own.update(
    _methods(
        "at/1 concat/1 copyWithin/2 fill/1 find/1 findIndex/1 findLast/1 findLastIndex/1"
        " lastIndexOf/1 pop/0 push/1 reverse/0 shift/0 unshift/1 slice/2 sort/1 splice/2"
        " includes/1 indexOf/1 join/1 keys/0 entries/0 values/0 forEach/1 filter/1 flat/0"
        " flatMap/1 map/1 every/1 some/1 reduce/1 reduceRight/1 toLocaleString/0 toString/0"
        " toReversed/0 toSorted/1 toSpliced/2 with/2"
    )
)
_constructor("Array", ARRAY_PROTOTYPE, "isArray/1 from/1 of/0")

STRING_PROTOTYPE.own.update(
    _methods(
        "anchor/1 at/1 big/0 blink/0 bold/0 charAt/1 charCodeAt/1 codePointAt/1 concat/1"
        " endsWith/1 fontcolor/1 fontsize/1 fixed/0 includes/1 indexOf/1 isWellFormed/0"
        " italics/0 lastIndexOf/1 link/1 localeCompare/1 match/1 matchAll/1 normalize/0"
        " padEnd/1 padStart/1 repeat/1 replace/2 replaceAll/2 search/1 slice/2 small/0 split/2"
        " strike/0 sub/0 substr/2 substring/2 sup/0 startsWith/1 toString/0 toWellFormed/0"
        " trim/0 trimStart/0 trimEnd/0 toLocaleLowerCase/0 toLocaleUpperCase/0 toLowerCase/0"
        " toUpperCase/0 valueOf/0"
    )
)
STRING_PROTOTYPE.own.update(
    length=0.0,
    trimLeft=STRING_PROTOTYPE.own["trimStart"],
    trimRight=STRING_PROTOTYPE.own["trimEnd"],
)
_constructor("String", STRING_PROTOTYPE, "fromCharCode/1 fromCodePoint/1 raw/1")

NUMBER_PROTOTYPE.own.update(
    _methods("toExponential/1 toFixed/1 toPrecision/1 toString/1 valueOf/0 toLocaleString/0")
)
_constructor(
    "Number",
    NUMBER_PROTOTYPE,
    "isFinite/1 isInteger/1 isNaN/1 isSafeInteger/1 parseFloat/1 parseInt/2",
    {
        "MAX_VALUE": 1.7976931348623157e308,
        "MIN_VALUE": 5e-324,
        "NaN": float("nan"),
        "NEGATIVE_INFINITY": float("-inf"),
        "POSITIVE_INFINITY": float("inf"),
        "MAX_SAFE_INTEGER": 9007199254740991.0,
        "MIN_SAFE_INTEGER": -9007199254740991.0,
        "EPSILON": 2.220446049250313e-16,
    },
)

BOOLEAN_PROTOTYPE.own.update(_methods("toString/0 valueOf/0"))
_constructor("Boolean", BOOLEAN_PROTOTYPE, "")
