"""Filters that a caller wrote, checked before anything is done with them."""

from collections.abc import Sequence
from typing import Final

from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_filters import InvalidFilter, parse_filter

__all__ = ["MOST_WARNINGS", "check_filter"]

MOST_WARNINGS: Final = 100
"""Of one filter; a filter may hold tens of thousands, too many for an answer."""


def check_filter(written: JsonDocument | None, field: str) -> Sequence[str]:
    """What is accepted but has no effect, the first of it where it is much.

    Raises InvalidField, naming the place inside.
    """
    if written is None:
        return ()
    try:
        warnings = parse_filter(written.load(), field).warnings
    except InvalidFilter as error:
        raise InvalidField(error.path, error.reason) from error
    shown = [warning.message for warning in warnings[:MOST_WARNINGS]]
    if len(warnings) > MOST_WARNINGS:
        shown.append(f"{field}: {len(warnings) - MOST_WARNINGS} more of this kind")
    return shown
