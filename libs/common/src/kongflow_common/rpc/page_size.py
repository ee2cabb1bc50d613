"""How much of a page fits into an answer."""

from collections.abc import Sequence
from typing import Final, TypeVar

from google.protobuf.message import Message

__all__ = ["fitting"]

_Item = TypeVar("_Item", bound=Message)

# An answer is at most 4 MiB, and one item less than 2.
_MAX_BYTES: Final = 3 * 1024 * 1024
# The tag and the length that stand before each item.
_FRAME_BYTES: Final = 6


def fitting(items: Sequence[_Item]) -> Sequence[_Item]:
    """The first items that fit: one at least, if there is any."""
    size = 0
    for index, item in enumerate(items):
        size += item.ByteSize() + _FRAME_BYTES
        if size > _MAX_BYTES and index > 0:
            return items[:index]
    return items
