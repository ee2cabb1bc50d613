"""What the events service is told from outside."""

from pydantic import Field

from kongflow_common.settings import ServiceSettings

__all__ = ["EventsSettings"]


class EventsSettings(ServiceSettings):
    """The settings of the events service, frozen."""

    intake_max_batch: int = Field(default=500, ge=1, le=5_000)
    """How many events one statement stores at most."""

    runs_timeout_seconds: float = Field(default=8.0, gt=0)
    """How long the creation of runs may take: less than the kind's own timeout."""
