"""The data of an event as a class: what it holds, what that means, and what is refused.

    @event_data
    class ProgressUpdated(TypedData):
        project_id: str = says("the project")
        progress: float = says("how much of it is done", at_least=0, at_most=100)

On the wire a field has its name in camel case, and is left out when it is None.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import (
    Any,
    ClassVar,
    Final,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from kongflow_common.errors import InvalidField

__all__ = ["EventData", "FieldOfData", "TypedData", "event_data", "says"]

_Data = TypeVar("_Data", bound="TypedData")

EventData = Mapping[str, Any]
"""What there is to say about an event, by the names that the wire has."""


def says(
    meaning: str,
    *,
    default: object = dataclasses.MISSING,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Declare a field of an event's data by what it means, and a number by its bounds."""
    metadata = {"meaning": meaning, "at_least": at_least, "at_most": at_most}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(says,))
def event_data(class_: type[_Data]) -> type[_Data]:
    """Make a class the data of a type: a frozen dataclass whose fields are given by name.

    Raises TypeError for a field of a kind that no data hold.
    """
    made = dataclass(frozen=True, slots=True, kw_only=True)(class_)
    hints = get_type_hints(made)
    fields = tuple(
        _field(each, hints[each.name])
        for each in dataclasses.fields(made)  # type: ignore[arg-type]
    )
    # Made once: every event that is published passes through them.
    made.fields = fields
    made.quick_checks = tuple((field.attribute, field.name, _types_of(field)) for field in fields)
    return made


@dataclass(frozen=True, slots=True)
class FieldOfData:
    """A field of an event's data; `kind` is `text`, `number`, `integer`, `true or false`, `object`.

    One that is `optional` may be left out.
    """

    attribute: str
    name: str
    kind: str
    meaning: str
    optional: bool
    at_least: float | None
    at_most: float | None

    def refusal(self, value: object) -> str | None:
        """Why the field cannot have the value; None when it can."""
        if value is None:
            return None if self.optional else "is required"
        if not _KINDS[self.kind](value):
            return f"must be {_ARTICLES.get(self.kind, '')}{self.kind}"
        if self.at_least is not None and value < self.at_least:  # type: ignore[operator]
            return f"must be {self.at_least:g} or more"
        if self.at_most is not None and value > self.at_most:  # type: ignore[operator]
            return f"must be {self.at_most:g} or less"
        return None


def _is_integer(value: object) -> bool:
    # True is an int to Python.
    return type(value) is int


def _is_number(value: object) -> bool:
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


_KINDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "number": _is_number,
    "true or false": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, Mapping),
}
_EXACTLY: Final[Mapping[str, type]] = {"text": str, "integer": int, "true or false": bool}
_ARTICLES: Final = {"number": "a ", "integer": "an ", "object": "an "}
_KIND_OF: Final[Mapping[object, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
}


class TypedData:
    """The base of all. Making one raises InvalidField for what the data of its type cannot be."""

    __slots__ = ()

    fields: ClassVar[Sequence[FieldOfData]] = ()
    quick_checks: ClassVar[Sequence[tuple[str, str, frozenset[type]]]] = ()
    """Attribute, name and the types whose values need no closer look, of each field."""

    def __post_init__(self) -> None:
        for place, (attribute, name, types) in enumerate(self.quick_checks):
            value = getattr(self, attribute)
            if type(value) in types:
                continue
            refusal = self.fields[place].refusal(value)
            if refusal is not None:
                raise InvalidField(f"data.{name}", refusal)

    def document(self) -> EventData:
        """The data as they are on the wire."""
        document = {}
        for attribute, name, _ in self.quick_checks:
            value = getattr(self, attribute)
            if value is not None:
                document[name] = value
        return document

    @classmethod
    def of(cls, document: EventData) -> Self:
        """The data that are published so. Raises InvalidField, also for a member too many."""
        unknown = document.keys() - {field.name for field in cls.fields}
        if unknown:
            raise InvalidField(f"data.{min(unknown)}", "is no field of the type's data")
        return cls.read(document)

    @classmethod
    def read(cls, document: EventData) -> Self:
        """The data that were stored so, maybe by a program that knows more members.

        Raises InvalidField.
        """
        return cls(**{field.attribute: document.get(field.name) for field in cls.fields})


def _types_of(field: FieldOfData) -> frozenset[type]:
    if field.at_least is not None or field.at_most is not None or field.kind not in _EXACTLY:
        return frozenset()
    return frozenset({_EXACTLY[field.kind], *((type(None),) if field.optional else ())})


def _field(field: "dataclasses.Field[Any]", hint: object) -> FieldOfData:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    [kind] = [each for each in kinds if each is not type(None)]
    first, *others = field.name.split("_")
    name = _KIND_OF.get(kind)
    if name is None:
        if kind != EventData:
            raise TypeError(f"{field.name} is a {kind}, which no event's data hold")
        name = "object"
    return FieldOfData(
        attribute=field.name,
        name=first + "".join(other.capitalize() for other in others),
        kind=name,
        meaning=field.metadata["meaning"],
        optional=type(None) in kinds,
        at_least=field.metadata["at_least"],
        at_most=field.metadata["at_most"],
    )
