"""Tenancy for tests: its use cases on a real database, and the service on a real channel."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from kongflow.tenancy.internal.v1.principal_service_pb2_grpc import PrincipalServiceStub
from kongflow.tenancy.v1 import environment_key_pb2, environment_pb2, organization_pb2, project_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from kongflow_common.clock import Clock, SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialLookup
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.adapters.principals import PostgresPrincipals
from kongflow_tenancy.adapters.unit_of_work import PostgresUnitOfWork
from kongflow_tenancy.application.bootstrap import Bootstrap
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.look_up_principal import LookUpCredential
from kongflow_tenancy.application.ports import NewEnvironment, NewOrganization, NewProject, Write
from kongflow_tenancy.domain.credentials import KeyKind, OperatorPrincipal, credential_hash
from kongflow_tenancy.domain.organization import Environment, EnvironmentType
from kongflow_tenancy.main import project_news, random_shortcode, use_cases

if TYPE_CHECKING:
    # Only the type stubs have these names.
    from kongflow.tenancy.internal.v1.principal_service_pb2_grpc import PrincipalServiceAsyncStub
    from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceAsyncStub

__all__ = ["TIMEOUT", "AuditEntry", "StoredTenancy", "TenancyContext", "WallClock", "a_write"]

TIMEOUT = 10.0
DEV = EnvironmentType.DEVELOPMENT


class WallClock:
    """The machine's clock, or one that goes before it."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return SystemClock().now() + self.offset


@dataclass(frozen=True)
class AuditEntry:
    """A row of the audit."""

    operator_name: str
    action: str
    subject: str
    details: dict[str, object]
    trace_id: str


def a_write(
    method: str = "Test",
    *,
    request_id: str = "",
    fingerprint: bytes = b"one",
    operator_id: UUID | None = None,
) -> Write:
    """A write of an operator; of a new one unless told otherwise."""
    return Write(operator_id or new_id(), "tester", method, request_id, fingerprint)


class StoredTenancy:
    """The use cases on a real database."""

    def __init__(self, database: Database, vault: FernetKeyVault, clock: Clock) -> None:
        self.database = database
        self.vault = vault
        self.clock = clock
        self.use = use_cases(self.unit_of_work, vault, clock)
        self.look_up_credential = LookUpCredential(PostgresPrincipals(database), clock)

    def unit_of_work(self) -> PostgresUnitOfWork:
        return PostgresUnitOfWork(self.database)

    def bootstrap(self, vault: FernetKeyVault | None = None) -> Bootstrap:
        """The bootstrap, with another vault if one is given."""
        vault = vault or self.vault
        maker = KeyMaker(vault, secrets.choice)
        return Bootstrap(
            self.unit_of_work, maker, vault, self.clock, random_shortcode, project_news(self.clock)
        )

    async def add_operator(self, name: str, *scopes: str) -> str:
        """Stores an operator; answers the token."""
        token = f"op_{secrets.token_hex(16)}"
        async with self.unit_of_work() as uow:
            operator = OperatorPrincipal(new_id(), name, scopes)
            await uow.operators.add(operator, credential_hash(token))
            await uow.commit()
        return token

    async def add_project(self, slug: str = "shop", organization: str = "acme") -> UUID:
        """Stores an organization and a project of it."""
        owner = await self.use.create_organization(
            NewOrganization(new_id(), organization, organization), a_write()
        )
        project = await self.use.create_project(
            NewProject(new_id(), slug, slug, owner.id), a_write()
        )
        return project.id

    async def add_environment(
        self, slug: str = "dev", environment_type: EnvironmentType = DEV
    ) -> Environment:
        """Stores an environment, of an organization and a project of its own."""
        project_id = await self.add_project(f"p-{new_id()}", f"o-{new_id()}")
        new = NewEnvironment(new_id(), slug, environment_type, random_shortcode(), project_id)
        return await self.use.create_environment(new, a_write())

    async def add_key(
        self, environment_id: UUID, kind: KeyKind = KeyKind.SECRET, ends: datetime | None = None
    ) -> tuple[UUID, str]:
        """Stores a key; answers its id and text."""
        key, text = await self.use.create_key(environment_id, kind, ends, a_write())
        return key.id, text

    async def count(self, table: str) -> int:
        [(rows,)] = await self.database.pool.execute(f"SELECT count(*) FROM tenancy.{table}")
        return int(rows)

    async def audit(self, action: str | None = None) -> list[AuditEntry]:
        """What the audit holds, the oldest first."""
        rows = await self.database.pool.execute(
            "SELECT operator_name, action, subject, details, trace_id FROM tenancy.audit_entries"
            " WHERE %(action)s::text IS NULL OR action = %(action)s ORDER BY id",
            {"action": action},
        )
        return [AuditEntry(*row) for row in rows]


@dataclass
class TenancyContext:
    """The tenancy service in this process, on a real database and a real channel."""

    server: InProcessServer
    stored: StoredTenancy
    clock: WallClock
    operator: str = field(default="", repr=False)
    """The token of an operator who may do everything."""

    @property
    def client(self) -> "TenancyServiceAsyncStub":
        return TenancyServiceStub(self.server.channel)

    @property
    def principals(self) -> "PrincipalServiceAsyncStub":
        return PrincipalServiceStub(self.server.tasks_channel)

    @property
    def as_operator(self) -> tuple[tuple[str, str], ...]:
        """The metadata of the operator's calls."""
        return bearer(self.operator)

    def lookup_of(self, service: str) -> TenancyCredentialLookup:
        """How another service asks who calls it."""
        return TenancyCredentialLookup(self.server.caller(service))

    async def organization(self, slug: str = "", **more: str) -> organization_pb2.Organization:
        """Creates an organization over the channel."""
        request = pb.CreateOrganizationRequest(slug=slug or f"o-{new_id()}", **more)
        answer = await self.client.CreateOrganization(
            request, metadata=self.as_operator, timeout=TIMEOUT
        )
        return answer.organization

    async def project(self, organization_id: str = "", slug: str = "") -> project_pb2.Project:
        """Creates a project over the channel."""
        request = pb.CreateProjectRequest(
            organization_id=organization_id or (await self.organization()).id,
            slug=slug or f"p-{new_id()}",
        )
        answer = await self.client.CreateProject(
            request, metadata=self.as_operator, timeout=TIMEOUT
        )
        return answer.project

    async def environment(
        self,
        project_id: str = "",
        slug: str = "dev",
        environment_type: environment_pb2.Environment.Type.ValueType = (
            environment_pb2.Environment.TYPE_DEVELOPMENT
        ),
    ) -> environment_pb2.Environment:
        """Creates an environment over the channel."""
        request = pb.CreateEnvironmentRequest(
            project_id=project_id or (await self.project()).id, slug=slug, type=environment_type
        )
        answer = await self.client.CreateEnvironment(
            request, metadata=self.as_operator, timeout=TIMEOUT
        )
        return answer.environment

    async def key(
        self,
        environment_id: str = "",
        kind: environment_key_pb2.EnvironmentKey.Kind.ValueType = (
            environment_key_pb2.EnvironmentKey.KIND_SECRET
        ),
        expire_time: datetime | None = None,
        request_id: str = "",
    ) -> pb.CreateEnvironmentKeyResponse:
        """Creates a key over the channel."""
        request = pb.CreateEnvironmentKeyRequest(
            environment_id=environment_id or (await self.environment()).id,
            kind=kind,
            request_id=request_id,
        )
        if expire_time is not None:
            request.expire_time.FromDatetime(expire_time)
        return await self.client.CreateEnvironmentKey(
            request, metadata=self.as_operator, timeout=TIMEOUT
        )
