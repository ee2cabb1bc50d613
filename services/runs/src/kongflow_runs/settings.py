"""What the runs service is told from outside."""

from kongflow_common.settings import ServiceSettings


class RunsSettings(ServiceSettings):
    """Settings of the runs service, beside those that every service has."""

    start_runs_at_once: bool = True
    """Whether a new run is started where it is created, and only what fails is queued."""
