"""The ids that were made at a time: of version 7, they begin with it in milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

__all__ = ["CLOCKS_APART", "FIRST_ID", "first_id_at"]

CLOCKS_APART: Final = timedelta(minutes=2)
"""The service's clock makes ids, the database's clock says when a record was created."""

FIRST_ID: Final = UUID(int=0)

_LAST_ID: Final = UUID(int=2**128 - 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def first_id_at(at: datetime, apart: timedelta = timedelta()) -> UUID:
    """No id that was made at this time, or later, is smaller."""
    milliseconds = (at - _EPOCH + apart) // _MILLISECOND
    if milliseconds < 0:
        return FIRST_ID
    return UUID(int=min(milliseconds << 80, _LAST_ID.int))
