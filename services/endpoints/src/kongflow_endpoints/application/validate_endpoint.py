"""Asks a URL which endpoint listens there."""

from uuid import UUID

from kongflow_endpoints.application.ports import EndpointProgram, SecretKeys
from kongflow_endpoints.application.program_key import key_of


class ValidateEndpoint:
    """Stores nothing."""

    def __init__(self, program: EndpointProgram, keys: SecretKeys) -> None:
        self._program = program
        self._keys = keys

    async def __call__(self, environment_id: UUID, url: str) -> str:
        """The slug of the endpoint there; raises EndpointPingFailed, InvalidField `url`."""
        return await self._program.validate(url, await key_of(self._keys, environment_id))
