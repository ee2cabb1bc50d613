"""The ids that were made at a time: of version 7, they begin with it in milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

__all__ = ["CLOCKS_APART", "FIRST_ID", "first_id_at", "time_of"]

CLOCKS_APART: Final = timedelta(minutes=2)
"""The service's clock makes ids, the database's clock says when a record was created."""

FIRST_ID: Final = UUID(int=0)

_LAST_ID: Final = UUID(int=2**128 - 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST_MILLISECOND: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MILLISECOND


def first_id_at(at: datetime, apart: timedelta = timedelta()) -> UUID:
    """No id that was made at this time, or later, is smaller."""
    milliseconds = (at - _EPOCH + apart) // _MILLISECOND
    if milliseconds < 0:
        return FIRST_ID
    return UUID(int=min(milliseconds << 80, _LAST_ID.int))


def time_of(id_: UUID) -> datetime:
    """When an id was made; the last day there is for one that tells nothing of it."""
    return _EPOCH + min(id_.int >> 80, _LAST_MILLISECOND) * _MILLISECOND
