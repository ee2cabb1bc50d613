"""When something is due by the clock: an expression of cron in a time zone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

__all__ = ["InvalidSchedule", "Schedule"]

_FIELDS = 5


class InvalidSchedule(ValueError):
    """An expression that is none, or never true, or an unknown time zone."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Raises InvalidSchedule.

    Where the clock is put forward, what falls into the hour that does not exist is due at its
    end; where it is put back, what names an hour is due once, and what runs through all hours
    ("*") goes on evenly.
    """

    cron: str
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        """Tries it once."""
        self.next_after(datetime(2000, 1, 1, tzinfo=UTC))

    def next_after(self, moment: datetime) -> datetime:
        """Return the first moment after this one, in UTC."""
        if len(self.cron.split()) != _FIELDS:
            # The library reads seconds too.
            raise InvalidSchedule(f"{self.cron!r} has not five fields")
        try:
            local = moment.astimezone(ZoneInfo(self.time_zone))
        except (KeyError, ValueError, OSError) as error:
            raise InvalidSchedule(f"there is no time zone {self.time_zone!r}") from error
        try:
            return next(CronSim(self.cron, local)).astimezone(UTC)
        except (CronSimError, StopIteration) as error:
            raise InvalidSchedule(f"{self.cron!r} is no moment of the clock") from error
