"""What the endpoints service is told from outside."""

from kongflow_common.settings import ServiceSettings


class EndpointsSettings(ServiceSettings):
    """Settings of the endpoints service: those that every service has."""
