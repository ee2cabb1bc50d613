"""Answers the other services: who stands behind a credential, and what programs are told."""

from kongflow.tenancy.internal.v1 import principal_service_pb2 as pb
from kongflow_common.auth.principals import current_principal
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.field_parsing import required_id
from kongflow_tenancy.application.describe_environment import DescribeEnvironment
from kongflow_tenancy.application.look_up_principal import LookUpCredential, LookUpEnvironment
from kongflow_tenancy.application.reveal_secret_key import RevealSecretKey
from kongflow_tenancy.rpc import mapping

HASH_BYTES = 32


class PrincipalServicer:
    """kongflow.tenancy.internal.v1.PrincipalService."""

    def __init__(
        self,
        look_up_credential: LookUpCredential,
        look_up_environment: LookUpEnvironment,
        describe_environment: DescribeEnvironment,
        reveal_secret_key: RevealSecretKey,
    ) -> None:
        self._look_up_credential = look_up_credential
        self._look_up_environment = look_up_environment
        self._describe_environment = describe_environment
        self._reveal_secret_key = reveal_secret_key

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

    async def DescribeEnvironment(
        self, request: pb.DescribeEnvironmentRequest, _context: object
    ) -> pb.DescribeEnvironmentResponse:
        """Describes an environment with its project and organization."""
        environment_id = required_id(request.environment_id, "environment_id")
        return mapping.environment_description(await self._describe_environment(environment_id))

    async def RevealSecretKey(
        self, request: pb.RevealSecretKeyRequest, _context: object
    ) -> pb.RevealSecretKeyResponse:
        """Reveals the newest usable secret key of an environment."""
        environment_id = required_id(request.environment_id, "environment_id")
        text = await self._reveal_secret_key(current_principal().name, environment_id)
        return pb.RevealSecretKeyResponse(secret_key=text)
