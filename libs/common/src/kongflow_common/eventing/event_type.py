"""The types of integration events."""

import re
from dataclasses import dataclass

__all__ = ["EventType", "InvalidEventType", "check_type_name", "domain_of"]

MAX_NAME_LENGTH = 128
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,2}")


class InvalidEventType(ValueError):
    """A type's name is not `<domain>.<action>.<status>`, or its version is none."""


def check_type_name(name: str) -> str:
    """Return the name. Raises InvalidEventType unless it has two or three lower-case parts."""
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise InvalidEventType(
            f"{name[:MAX_NAME_LENGTH]!r} is no type of event: "
            "expected <domain>.<action>.<status> in lower case"
        )
    return name


def domain_of(name: str) -> str:
    """The first part of a type's name: all types of a domain are of one service."""
    return name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event, and the version of its data that is published.

    Raises InvalidEventType, so that a wrong name is found where it is declared.
    """

    name: str
    version: int = 1

    def __post_init__(self) -> None:
        check_type_name(self.name)
        if self.version < 1:
            raise InvalidEventType(f"{self.name} has the version {self.version}; 1 is the first")
