"""What the endpoints service is told from outside."""

from pydantic import Field

from kongflow_common.settings import ServiceSettings


class EndpointsSettings(ServiceSettings):
    """Settings of the endpoints service."""

    allow_private_endpoints: bool = False
    """Whether users' URLs may lead to private addresses, and to this machine."""
    endpoint_redirect_hosts: frozenset[str] = frozenset()
    """Hosts that an index may be redirected to although another one was registered."""
    endpoint_ping_seconds: float = Field(default=10.0, gt=0, le=30.0)
    endpoint_index_seconds: float = Field(default=30.0, gt=0, le=50.0)
    """How long an endpoint may take to say what it holds, redirects included."""
    endpoint_executions: int = Field(default=1_000, ge=1, le=10_000)
    """How many jobs programs execute at once for this process, of one program or of many."""
