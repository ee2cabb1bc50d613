"""Answers the other services: who stands behind a credential."""

from kongflow.tenancy.internal.v1 import principal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.field_parsing import required_id
from kongflow_tenancy.application.look_up_principal import LookUpCredential, LookUpEnvironment
from kongflow_tenancy.rpc import mapping

HASH_BYTES = 32


class PrincipalServicer:
    """kongflow.tenancy.internal.v1.PrincipalService."""

    def __init__(
        self, look_up_credential: LookUpCredential, look_up_environment: LookUpEnvironment
    ) -> None:
        self._look_up_credential = look_up_credential
        self._look_up_environment = look_up_environment

    async def LookUpCredential(
        self, request: pb.LookUpCredentialRequest, _context: object
    ) -> pb.LookUpCredentialResponse:
        """Finds what a key or an operator's token stands for."""
        if len(request.hash) != HASH_BYTES:
            raise InvalidField("hash", f"has {HASH_BYTES} bytes")
        return mapping.credential(await self._look_up_credential(request.hash))

    async def LookUpEnvironment(
        self, request: pb.LookUpEnvironmentRequest, _context: object
    ) -> pb.LookUpEnvironmentResponse:
        """Finds an environment with what it belongs to."""
        environment_id = required_id(request.environment_id, "environment_id")
        context = await self._look_up_environment(environment_id)
        return pb.LookUpEnvironmentResponse(environment=mapping.environment_context(context))
