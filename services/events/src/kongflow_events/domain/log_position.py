"""Where a reader of the log stands."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

__all__ = ["KEPT", "LAST_SEQUENCE", "Horizon", "LogPosition", "LogSelection"]

KEPT: Final = timedelta(days=30)
"""How long the log keeps an event."""
LAST_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Everything up to (`xid`, `sequence`) is read; nothing behind was logged before `since`.

    `server` is whose transactions these are: each PostgreSQL server counts its own.
    """

    server: int
    xid: int
    sequence: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a look at the log could see.

    All transactions below `xmin` were over, none from `xmax` on had begun, and it was `at`.
    """

    xmin: int
    xmax: int
    at: datetime

    def begin(self, server: int) -> LogPosition:
        """Where to begin for what comes from now on, in the log of this server."""
        # Transactions that go on may have logged some time ago: none of ours takes a day.
        since = self.at if self.xmin == self.xmax else self.at - timedelta(days=1)
        return LogPosition(server, self.xmin - 1, LAST_SEQUENCE, since)

    def lies_behind(self, position: LogPosition) -> bool:
        """Whether a position lies ahead of all that this look could see: it is not of this log."""
        return position.xid >= self.xmax

    def is_over(self, earlier: "Horizon") -> bool:
        """Whether all transactions are over that had begun before an earlier look."""
        return self.xmin >= earlier.xmax


@dataclass(frozen=True, slots=True)
class LogSelection:
    """What of the log somebody reads: what belongs to one of the scopes.

    Of one resource and of some types, where these are given.
    """

    scope_ids: tuple[UUID, ...]
    resource_id: str | None = None
    types: tuple[str, ...] = ()
