"""`value[key]`: what a key of a filter finds in values of each kind."""

from collections.abc import Mapping, Sequence
from typing import Final

from kongflow_filters.javascript_objects import (
    ARRAY_PROTOTYPE,
    BOOLEAN_PROTOTYPE,
    NUMBER_PROTOTYPE,
    OBJECT_PROTOTYPE,
    STRING_PROTOTYPE,
    BuiltInObject,
)
from kongflow_filters.javascript_values import MISSING, array_index, code_unit, utf16_length

__all__ = ["Property"]


class Property:
    """A key of a filter, and what it finds in values of each kind."""

    __slots__ = ("_index", "inherited", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.inherited = OBJECT_PROTOTYPE.read(key)
        self._index = array_index(key)

    def read(self, value: object) -> object:
        """`value[key]` of anything but an object, null and `undefined`."""
        if type(value) is str:
            return self._read_string(value)
        if type(value) is list:
            return self._read_list(value)
        if isinstance(value, BuiltInObject):
            return value.read(self.key)
        prototype = _PROTOTYPES.get(type(value))
        if prototype is None:
            raise TypeError(f"{type(value).__name__} is not a JSON value")
        return prototype.read(self.key)

    def _read_string(self, text: str) -> object:
        if self._index is not None:
            unit = code_unit(text, self._index)
            return MISSING if unit is None else unit
        if self.key == "length":
            return utf16_length(text)
        return STRING_PROTOTYPE.read(self.key)

    def _read_list(self, items: Sequence[object]) -> object:
        if self._index is not None:
            return items[self._index] if self._index < len(items) else MISSING
        if self.key == "length":
            return len(items)
        return ARRAY_PROTOTYPE.read(self.key)


_PROTOTYPES: Final[Mapping[type, BuiltInObject]] = {
    int: NUMBER_PROTOTYPE,
    float: NUMBER_PROTOTYPE,
    bool: BOOLEAN_PROTOTYPE,
}
