"""What the jobs service is told from outside."""

from kongflow_common.settings import ServiceSettings


class JobsSettings(ServiceSettings):
    """Settings of the jobs service: those that every service has."""
