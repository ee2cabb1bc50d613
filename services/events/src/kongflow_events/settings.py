"""What the events service is told from outside."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr

from kongflow_common.settings import ServiceSettings
from kongflow_events.application.purge_old_events import EventRetention

__all__ = ["EventsSettings"]

Days = Annotated[int, Field(ge=0, le=36_500)]


class EventsSettings(ServiceSettings):
    """The settings of the events service, frozen."""

    redis_url: SecretStr = SecretStr("")
    """Where realtime events are told of as they happen; nowhere when empty."""

    intake_max_batch: int = Field(default=500, ge=1, le=5_000)
    """How many events one statement stores at most."""

    runs_timeout_seconds: float = Field(default=8.0, gt=0)
    """How long the creation of runs may take: less than the kind's own timeout."""

    run_cancel_timeout_seconds: float = Field(default=25.0, gt=0)
    """How long the cancelling of an event's runs may take, where the caller waits for longer."""

    allow_private_callbacks: bool = False
    """Whether ephemeral dispatchers' URLs may lead to private addresses, and to this machine."""

    callback_timeout_seconds: float = Field(default=20.0, gt=0, le=25.0)
    """How long the URL of an ephemeral dispatcher may take: less than the kind's own timeout."""

    events_kept_days: Days = 90
    """How long events are kept after they were delivered or cancelled; for ever with 0."""

    events_kept_days_of: dict[UUID, Days] = Field(default_factory=dict)
    """The same for single environments, by their ids."""

    @property
    def retention(self) -> EventRetention:
        """How long each environment keeps its events."""
        return EventRetention(
            _kept(self.events_kept_days),
            {id_: _kept(days) for id_, days in self.events_kept_days_of.items()},
        )


def _kept(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None
