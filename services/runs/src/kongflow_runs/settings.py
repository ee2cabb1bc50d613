"""What the runs service is told from outside."""

from kongflow_common.settings import ServiceSettings


class RunsSettings(ServiceSettings):
    """Settings of the runs service: those that every service has."""
