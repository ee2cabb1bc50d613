"""Filters that a caller wrote, checked before anything is done with them."""

from collections.abc import Sequence

from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_filters import InvalidFilter, parse_filter

__all__ = ["check_filter"]


def check_filter(written: JsonDocument | None, field: str) -> Sequence[str]:
    """What is accepted but has no effect. Raises InvalidField, naming the place inside."""
    if written is None:
        return ()
    try:
        return [warning.message for warning in parse_filter(written.load(), field).warnings]
    except InvalidFilter as error:
        raise InvalidField(error.path, error.reason) from error
