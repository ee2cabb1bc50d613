"""A clock that stands still until it is told otherwise."""

from datetime import UTC, datetime, timedelta

__all__ = ["FixedClock"]


class FixedClock:
    """A Clock that always tells `at`."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> datetime:
        """Move on, or back with a negative `by`; the new time."""
        self.at += by
        return self.at
