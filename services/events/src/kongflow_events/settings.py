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

    run_cancel_timeout_seconds: float = Field(default=25.0, gt=0)
    """How long the cancelling of an event's runs may take, where the caller waits for longer."""

    allow_private_callbacks: bool = False
    """Whether ephemeral dispatchers' URLs may lead to private addresses, and to this machine."""

    callback_timeout_seconds: float = Field(default=20.0, gt=0, le=25.0)
    """How long the URL of an ephemeral dispatcher may take: less than the kind's own timeout."""
