"""The key by which a program knows us."""

from uuid import UUID

from pydantic import SecretStr

from kongflow_endpoints.application.ports import SecretKeys
from kongflow_endpoints.domain.errors import EndpointPingFailed

NO_KEY = "The environment has no secret key that its programs could know us by"


async def key_of(keys: SecretKeys, environment_id: UUID) -> SecretStr:
    """The key of an environment; raises EndpointPingFailed when it has none."""
    key = await keys.of_environment(environment_id)
    if key is None:
        raise EndpointPingFailed(NO_KEY)
    return key
