"""A real server in the test's own process, with callers of every kind.

    async with in_process_server(
        catalog=CATALOG,
        client_services=[GrpcService(pb.DESCRIPTOR.services_by_name["RunsService"], servicer)],
    ) as server:
        environment = server.credentials.add_environment()
        key = server.credentials.add_secret_key(environment)
        stub = RunsServiceStub(server.channel)
        await stub.GetRun(pb.GetRunRequest(id=...), metadata=bearer(key), timeout=5)

Servicers are wrapped exactly as in production: authentication, access options, limits, errors.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr

from kongflow_common.auth.authenticator import ENVIRONMENT_METADATA, Authenticator
from kongflow_common.auth.credentials import CredentialResolver, ResolvedCredential
from kongflow_common.auth.principals import CallerKind, EnvironmentScope, Principal
from kongflow_common.auth.service_tokens import ServiceTokenSigner, ServiceTokenVerifier
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import ServiceCaller, open_channel
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.interceptor import CallLimits
from kongflow_common.rpc.server import (
    CLIENT_LIMITS,
    TASKS_LIMITS,
    GrpcServer,
    GrpcService,
    ReadinessProbe,
)
from kongflow_common.settings import ServiceSettings

__all__ = [
    "InProcessServer",
    "ServiceKeys",
    "StaticCredentials",
    "bearer",
    "in_process_server",
]


def bearer(credential: str, *, environment_id: UUID | None = None) -> tuple[tuple[str, str], ...]:
    """The metadata of a call that shows `credential`."""
    metadata = (("authorization", f"Bearer {credential}"),)
    if environment_id is None:
        return metadata
    return (*metadata, (ENVIRONMENT_METADATA, str(environment_id)))


class StaticCredentials:
    """Keys, operators and environments held in memory; a resolver and a lookup in one.

    While `away` is True it answers as tenancy does when it cannot be asked.
    """

    def __init__(self) -> None:
        self.away = False
        self.lookups = 0
        self._principals: dict[bytes, Principal] = {}
        self._environments: dict[UUID, EnvironmentScope] = {}

    def add_environment(
        self, *, slug: str = "dev", environment_type: str = "DEVELOPMENT", runs_enabled: bool = True
    ) -> EnvironmentScope:
        """Make an environment of a project and an organization of its own."""
        scope = EnvironmentScope(
            environment_id=new_id(),
            project_id=new_id(),
            organization_id=new_id(),
            slug=slug,
            type=environment_type,
            runs_enabled=runs_enabled,
        )
        self._environments[scope.environment_id] = scope
        return scope

    def add_secret_key(self, environment: EnvironmentScope) -> str:
        """Make a secret key of the environment."""
        return self._add_key("tr", CallerKind.SECRET_KEY, environment)

    def add_public_key(self, environment: EnvironmentScope) -> str:
        """Make a public key of the environment."""
        return self._add_key("pk", CallerKind.PUBLIC_KEY, environment)

    def add_operator(self, *scopes: str, name: str = "operator") -> str:
        """Make an operator with these scopes; gives the token."""
        token = f"op_{uuid4().hex}"
        self._principals[_hash(token)] = Principal(
            kind=CallerKind.OPERATOR, name=name, scopes=frozenset(scopes), key_id=str(new_id())
        )
        return token

    def revoke(self, credential: str) -> None:
        """Let a key or a token count no longer."""
        del self._principals[_hash(credential)]

    async def principal(self, credential_hash: bytes) -> Principal | None:
        self._ask()
        return self._principals.get(credential_hash)

    async def environment(self, environment_id: UUID) -> EnvironmentScope | None:
        self._ask()
        return self._environments.get(environment_id)

    async def look_up_credential(self, credential_hash: bytes) -> ResolvedCredential | None:
        principal = await self.principal(credential_hash)
        return ResolvedCredential(principal) if principal is not None else None

    async def look_up_environment(self, environment_id: UUID) -> EnvironmentScope | None:
        return await self.environment(environment_id)

    def _ask(self) -> None:
        self.lookups += 1
        if self.away:
            raise DependencyUnavailable("tenancy")

    def _add_key(self, prefix: str, kind: CallerKind, environment: EnvironmentScope) -> str:
        key = f"{prefix}_{environment.slug}_{uuid4().hex[:20]}"
        self._principals[_hash(key)] = Principal(
            kind=kind, name=environment.slug, environment=environment, key_id=str(new_id())
        )
        return key


class ServiceKeys:
    """An Ed25519 key for each service."""

    def __init__(
        self,
        services: Iterable[str] = (
            "tenancy",
            "events",
            "jobs",
            "endpoints",
            "runs",
            "workerqueue",
        ),
    ) -> None:
        self._keys = {service: Ed25519PrivateKey.generate() for service in services}

    @property
    def public_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """What a verifier is told."""
        return {service: key.public_key() for service, key in self._keys.items()}

    def private_key(self, service: str) -> Ed25519PrivateKey:
        """The key of `service`, for tokens that a signer would not make."""
        return self._keys[service]

    def signer(self, service: str) -> ServiceTokenSigner:
        """Signs in the name of `service`."""
        return ServiceTokenSigner(service, self._keys[service])


@dataclass(frozen=True)
class InProcessServer:
    """A running server, a channel to each of its listeners, and who may call it."""

    server: GrpcServer
    service: str
    channel: grpc.aio.Channel
    tasks_channel: grpc.aio.Channel
    credentials: StaticCredentials
    service_keys: ServiceKeys

    def caller(self, service: str = "workerqueue") -> ServiceCaller:
        """Calls the tasks listener in the name of `service`."""
        return ServiceCaller(self.tasks_channel, self.service, self.service_keys.signer(service))

    def service_token(self, service: str = "workerqueue", *, audience: str | None = None) -> str:
        """A token of `service` for this server, or for another audience."""
        return self.service_keys.signer(service).token(audience or self.service)


@asynccontextmanager
async def in_process_server(
    *,
    catalog: ErrorCatalog,
    client_services: Sequence[GrpcService] = (),
    tasks_services: Sequence[GrpcService] = (),
    credentials: StaticCredentials | None = None,
    resolver: CredentialResolver | None = None,
    service_keys: ServiceKeys | None = None,
    probe: ReadinessProbe | None = None,
    client_limits: CallLimits = CLIENT_LIMITS,
    tasks_limits: CallLimits = TASKS_LIMITS,
    settings: ServiceSettings | None = None,
) -> AsyncIterator[InProcessServer]:
    """Start a server on free ports of 127.0.0.1 and drain it at the end of the block.

    `resolver` stands between the server and `credentials` where a test is about caching.
    The audience of service tokens is the first word of the catalogue's domain.
    """
    service = catalog.domain.partition(".")[0]
    credentials = credentials or StaticCredentials()
    service_keys = service_keys or ServiceKeys()
    server = GrpcServer(
        settings or local_settings(),
        authenticator=Authenticator(
            resolver or credentials, ServiceTokenVerifier(service, service_keys.public_keys)
        ),
        catalog=catalog,
        client_services=client_services,
        tasks_services=tasks_services,
        probe=probe,
        client_limits=client_limits,
        tasks_limits=tasks_limits,
    )
    await server.start()
    try:
        async with (
            open_channel(server.listen) as channel,
            open_channel(server.tasks_listen) as tasks_channel,
        ):
            yield InProcessServer(
                server, service, channel, tasks_channel, credentials, service_keys
            )
    finally:
        await server.drain()


def local_settings(*, reflection: bool = True, drain_seconds: float = 5.0) -> ServiceSettings:
    """Settings of a server on free ports that asks no database."""
    return ServiceSettings(
        database_url=SecretStr("postgresql://127.0.0.1/none"),
        listen="127.0.0.1:0",
        tasks_listen="127.0.0.1:0",
        reflection=reflection,
        drain_seconds=drain_seconds,
    )


def _hash(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()
