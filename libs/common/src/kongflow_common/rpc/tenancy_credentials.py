"""Credentials as the tenancy service knows them."""

from uuid import UUID

import grpc

from kongflow.tenancy.internal.v1 import principal_service_pb2 as pb
from kongflow.tenancy.internal.v1.principal_service_pb2_grpc import PrincipalServiceStub
from kongflow_common.auth.credentials import CachedCredentialResolver, ResolvedCredential
from kongflow_common.auth.principals import CallerKind, EnvironmentScope, Principal
from kongflow_common.rpc.channel import RemoteError, ServiceCaller

__all__ = ["TenancyCredentialLookup", "TenancyCredentialResolver", "environment_scope"]

# Far below the age at which an answer must no longer be used.
_TIMEOUT_SECONDS = 2.0


class TenancyCredentialLookup:
    """Asks the tenancy service, each time anew."""

    def __init__(self, tenancy: ServiceCaller) -> None:
        self._tenancy = tenancy
        self._stub = PrincipalServiceStub(tenancy.channel)

    async def look_up_credential(self, credential_hash: bytes) -> ResolvedCredential | None:
        try:
            response = await self._tenancy.call(
                self._stub.LookUpCredential,
                pb.LookUpCredentialRequest(hash=credential_hash),
                timeout=_TIMEOUT_SECONDS,
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        principal = _principal(response)
        if principal is None:
            return None
        if not response.HasField("expire_time"):
            return ResolvedCredential(principal)
        expire_time = response.expire_time
        return ResolvedCredential(principal, expire_time.seconds + expire_time.nanos / 1e9)

    async def look_up_environment(self, environment_id: UUID) -> EnvironmentScope | None:
        try:
            response = await self._tenancy.call(
                self._stub.LookUpEnvironment,
                pb.LookUpEnvironmentRequest(environment_id=str(environment_id)),
                timeout=_TIMEOUT_SECONDS,
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return environment_scope(response.environment)


class TenancyCredentialResolver(CachedCredentialResolver):
    """Asks the tenancy service and keeps what it says for at most 4 seconds."""

    def __init__(self, tenancy: ServiceCaller) -> None:
        super().__init__(TenancyCredentialLookup(tenancy))


def _principal(response: pb.LookUpCredentialResponse) -> Principal | None:
    if response.HasField("key"):
        key = response.key
        environment = environment_scope(key.environment)
        return Principal(
            kind=CallerKind.PUBLIC_KEY if key.public else CallerKind.SECRET_KEY,
            name=environment.slug,
            environment=environment,
            key_id=key.key_id,
        )
    if response.HasField("operator"):
        operator = response.operator
        return Principal(
            kind=CallerKind.OPERATOR,
            name=operator.name,
            scopes=frozenset(operator.scopes),
            key_id=operator.operator_id,
        )
    # A newer tenancy may know principals that this one does not: they count for nothing here.
    return None


def environment_scope(environment: pb.EnvironmentContext) -> EnvironmentScope:
    """The environment that a call acts in, as tenancy says it."""
    return EnvironmentScope(
        environment_id=UUID(environment.environment_id),
        project_id=UUID(environment.project_id),
        organization_id=UUID(environment.organization_id),
        slug=environment.slug,
        type=environment.type,
        runs_enabled=environment.runs_enabled,
    )
