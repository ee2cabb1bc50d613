"""Reading request fields: each function names the field that it refuses."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

from google.protobuf.message import Message

from kongflow_common.errors import InvalidField
from kongflow_common.ids import parse_id

__all__ = [
    "MAX_NAME_LENGTH",
    "bounded_int",
    "optional_enum",
    "optional_id",
    "optional_text",
    "required_enum",
    "required_id",
    "required_message",
    "required_one_of",
    "required_text",
    "shared_id",
    "texts",
]

MAX_NAME_LENGTH = 512

_Member = TypeVar("_Member")


def required_text(value: str, field: str, *, max_length: int = MAX_NAME_LENGTH) -> str:
    """A text that is not empty and has at most `max_length` characters, none of them NUL."""
    if not value:
        raise InvalidField(field, "is required")
    return _checked(value, field, max_length)


def optional_text(value: str, field: str, *, max_length: int = MAX_NAME_LENGTH) -> str | None:
    """The same, or None when it is left out."""
    return _checked(value, field, max_length) if value else None


def texts(
    values: Sequence[str],
    field: str,
    *,
    max_items: int,
    max_length: int = MAX_NAME_LENGTH,
    required: bool = False,
) -> tuple[str, ...]:
    """Some texts, none of them empty; `required`: at least one."""
    if required and not values:
        raise InvalidField(field, "is required")
    if len(values) > max_items:
        raise InvalidField(field, f"has {len(values)} items; at most {max_items} are allowed")
    return tuple(
        required_text(value, f"{field}[{index}]", max_length=max_length)
        for index, value in enumerate(values)
    )


def required_id(value: str, field: str) -> UUID:
    """An id."""
    if not value:
        raise InvalidField(field, "is required")
    return parse_id(value, field)


@lru_cache(maxsize=4_096)
def shared_id(value: str, field: str) -> UUID:
    """The same, for ids that many requests have in common: they are read once."""
    return required_id(value, field)


def optional_id(value: str, field: str) -> UUID | None:
    """An id, or None when it is left out."""
    return parse_id(value, field) if value else None


def required_enum(value: int, field: str, members: Mapping[int, _Member]) -> _Member:
    """What an enum value stands for; `members` leaves the unspecified value out."""
    if not value:
        raise InvalidField(field, "is required")
    return _member(value, field, members)


def optional_enum(value: int, field: str, members: Mapping[int, _Member]) -> _Member | None:
    """The same, or None when it is left out."""
    return _member(value, field, members) if value else None


def bounded_int(value: int, field: str, *, at_least: int, at_most: int) -> int:
    """A number within bounds."""
    if not at_least <= value <= at_most:
        raise InvalidField(field, f"must be between {at_least} and {at_most}")
    return value


def required_message(message: Message, name: str, *, field: str | None = None) -> None:
    """Check that `message` has its field `name`, which the error calls `field`."""
    if not message.HasField(name):
        raise InvalidField(field or name, "is required")


def required_one_of(message: Message, group: str) -> str:
    """The name of the field of the oneof `group` that is set; the error names the group."""
    chosen = message.WhichOneof(group)
    if chosen is None:
        fields = message.DESCRIPTOR.oneofs_by_name[group].fields
        raise InvalidField(group, f"is required: one of {', '.join(each.name for each in fields)}")
    return str(chosen)


def _member(value: int, field: str, members: Mapping[int, _Member]) -> _Member:
    try:
        return members[value]
    except KeyError:
        raise InvalidField(field, f"has the value {value}, which is not known") from None


def _checked(value: str, field: str, max_length: int) -> str:
    if len(value) > max_length:
        raise InvalidField(field, f"has {len(value)} characters; at most {max_length} are allowed")
    if "\x00" in value:
        raise InvalidField(field, "holds the character NUL, which cannot be stored")
    return value
