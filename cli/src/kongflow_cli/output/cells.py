"""What stands in a table's cell, read from a message."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_M = TypeVar("_M", bound=Message)
_Number = TypeVar("_Number", bound=int)

_STYLES = {
    "green": {"delivered", "matched", "completed", "success", "on"},
    "cyan": {"running", "started", "executing", "preprocessing"},
    "yellow": {"retryable", "unmatched", "waiting_on_connections", "paused"},
    "red": {
        "discarded",
        "failure",
        "timed_out",
        "aborted",
        "invalid_payload",
        "unresolved_auth",
        "revoked",
        "expired",
    },
    "dim": {"cancelled", "canceled", "off"},
}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a fixed set, such as a state; its meaning gives the colour."""

    text: str

    @property
    def style(self) -> str:
        """The name of the rich style; empty for an ordinary word."""
        return next((style for style, words in _STYLES.items() if self.text in words), "")


Cell = str | Word | Timestamp | None
"""A time is shown as the reader wants it; None is shown as nothing."""


@dataclass(frozen=True, slots=True)
class Column(Generic[_M]):
    """A column of a list, or a line of a single resource."""

    header: str
    read: Callable[[_M], Cell]
    wide: bool = False
    """Shown in a list only when --wide asks for it."""


def word(name_of: Callable[[_Number], str], number: _Number, prefix: str) -> Word:
    """The word for an enum's value, e.g. `pending` for STATE_PENDING with the prefix `STATE_`.

    A value that this program does not know yet is shown by its number.
    """
    try:
        name = name_of(number)
    except ValueError:
        return Word(str(number))
    return Word(name.removeprefix(prefix).lower())


def time_of(message: Message, field: str) -> Timestamp | None:
    """The time that a field holds; None when it is not set."""
    if not message.HasField(field):
        return None
    time = getattr(message, field)
    return time if isinstance(time, Timestamp) else None


def yes_or_no(value: bool) -> Cell:
    """A word for a truth."""
    return "yes" if value else "no"
