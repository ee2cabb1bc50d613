"""What the use cases of tenancy need from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_tenancy.domain.credentials import (
    EnvironmentKey,
    KeyKind,
    KeyPrincipal,
    Operator,
    OperatorPrincipal,
)
from kongflow_tenancy.domain.organization import (
    Environment,
    EnvironmentContext,
    EnvironmentDescription,
    EnvironmentType,
    Organization,
    Project,
)


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """An organization to be created."""

    id: UUID
    slug: str
    title: str


@dataclass(frozen=True, slots=True)
class OrganizationChange:
    """New values of an organization; what is ``None`` stays."""

    title: str | None = None
    runs_enabled: bool | None = None
    maximum_execution_time_per_run: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to be created."""

    id: UUID
    slug: str
    name: str
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class NewEnvironment:
    """An environment to be created."""

    id: UUID
    slug: str
    type: EnvironmentType
    shortcode: str
    project_id: UUID


@dataclass(frozen=True, slots=True)
class SealedText:
    """A key's text, encrypted under the encryption key that ``key_id`` names."""

    ciphertext: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored."""

    id: UUID
    environment_id: UUID
    kind: KeyKind
    hash: bytes
    sealed: SealedText
    hint: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Write:
    """Who asks for a write, and what makes its repeat harmless.

    ``fingerprint`` is the SHA-256 of what is asked: a request id stands for one request.
    Without ``request_id`` every call is a write of its own.
    """

    operator_id: UUID
    operator_name: str
    method: str
    request_id: str
    fingerprint: bytes


class SealedTextUnreadable(Exception):
    """A stored text cannot be decrypted with the encryption keys of the settings."""


class KeyVault(Protocol):
    """Encrypts the texts of keys at rest."""

    def seal(self, text: str) -> SealedText:
        """Encrypts under the current encryption key."""
        ...

    def open(self, sealed: SealedText) -> str:
        """Decrypts; raises SealedTextUnreadable without the key that sealed it."""
        ...


class Organizations(Protocol):
    """The stored organizations."""

    async def add(self, new: NewOrganization) -> Organization:
        """Stores it; raises OrganizationExists."""
        ...

    async def find(self, organization_id: UUID, *, lock: bool = False) -> Organization | None:
        """The organization, or ``None``; with ``lock`` nobody else changes it until the commit."""
        ...

    async def find_slug(self, slug: str) -> Organization | None:
        """The organization with this slug, or ``None``."""
        ...

    async def change(self, organization_id: UUID, change: OrganizationChange) -> Organization:
        """Changes one that is there."""
        ...

    async def page(self, before: UUID | None, limit: int) -> Sequence[Organization]:
        """The newest ones that are older than ``before``."""
        ...


class Projects(Protocol):
    """The stored projects."""

    async def add(self, new: NewProject) -> Project:
        """Stores it; raises ProjectExists and OrganizationNotFound."""
        ...

    async def find(self, project_id: UUID) -> Project | None:
        """The project, or ``None``."""
        ...

    async def find_slug(self, slug: str) -> Project | None:
        """The project with this slug, or ``None``."""
        ...

    async def page(
        self, organization_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Project]:
        """The newest ones that are older than ``before``, of all organizations or of one."""
        ...


class Environments(Protocol):
    """The stored environments."""

    async def add(self, new: NewEnvironment) -> Environment:
        """Stores it; raises EnvironmentExists and ProjectNotFound."""
        ...

    async def find(self, environment_id: UUID) -> Environment | None:
        """The environment, or ``None``."""
        ...

    async def find_slug(self, project_id: UUID, slug: str) -> Environment | None:
        """The environment with this slug, or ``None``."""
        ...

    async def page(
        self, project_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Environment]:
        """The newest ones that are older than ``before``, of all projects or of one."""
        ...


class Keys(Protocol):
    """The stored keys."""

    async def add(self, new: NewKey) -> EnvironmentKey:
        """Stores it; raises EnvironmentNotFound."""
        ...

    async def find(self, key_id: UUID, *, lock: bool = False) -> EnvironmentKey | None:
        """The key, or ``None``; with ``lock`` nobody else changes it until the commit."""
        ...

    async def find_hash(self, key_hash: bytes) -> EnvironmentKey | None:
        """The key whose text has this SHA-256, living or not, or ``None``."""
        ...

    async def sealed_text(self, key_id: UUID) -> SealedText | None:
        """The key's encrypted text, or ``None``."""
        ...

    async def end(
        self,
        key_id: UUID,
        *,
        expires_at: datetime | None = None,
        revoked_at: datetime | None = None,
    ) -> EnvironmentKey:
        """Sets when the key stops working."""
        ...

    async def page(
        self, environment_id: UUID, before: UUID | None, limit: int
    ) -> Sequence[EnvironmentKey]:
        """The newest keys of an environment that are older than ``before``."""
        ...


class Operators(Protocol):
    """The stored operators."""

    async def find_name(self, name: str) -> Operator | None:
        """The operator of this name, revoked or not, or ``None``."""
        ...

    async def add(self, operator: OperatorPrincipal, token_hash: bytes) -> None:
        """Stores an operator whose name nobody has."""
        ...

    async def replace_token(self, operator_id: UUID, token_hash: bytes) -> None:
        """Lets another token count, and the one before no longer; ends a revocation."""
        ...


class Principals(Protocol):
    """Who stands behind a credential; asked all the time, by every service.

    Both raise DependencyUnavailable when the database does not answer in time.
    """

    async def of_credential(
        self, credential_hash: bytes, now: datetime
    ) -> KeyPrincipal | OperatorPrincipal | None:
        """What the key or token with this SHA-256 stands for; ``None`` unless it counts now."""
        ...

    async def of_environment(self, environment_id: UUID) -> EnvironmentContext | None:
        """The environment with what it belongs to, or ``None``."""
        ...


class EnvironmentReader(Protocol):
    """What users' programs are told of their environment; asked every few seconds.

    Both raise DependencyUnavailable when the database does not answer in time.
    """

    async def description(self, environment_id: UUID) -> EnvironmentDescription | None:
        """The environment with its project and organization, or ``None``."""
        ...

    async def newest_secret_key(self, environment_id: UUID, now: datetime) -> SealedText | None:
        """The newest secret key that counts then; ``None`` when there is none.

        Raises EnvironmentNotFound.
        """
        ...


class Writes(Protocol):
    """What was asked by whom: makes repeats harmless and keeps the audit."""

    async def begin(self, write: Write, resource_id: UUID) -> UUID:
        """Remembers that the request makes this resource.

        Answers ``resource_id``, or that of the first call with the request id. Raises
        RequestIdReused when the first call asked for something else.
        """
        ...

    async def audit(self, write: Write, subject: str, **details: object) -> None:
        """Notes who did what to which resource."""
        ...


class Publishing(Protocol):
    """What happened, as the log is to have it when the transaction is committed."""

    async def add(self, *events: PublishedEvent) -> None: ...


class TenancyUnitOfWork(Protocol):
    """One transaction over all of tenancy; leaving without commit rolls back."""

    @property
    def organizations(self) -> Organizations: ...

    @property
    def projects(self) -> Projects: ...

    @property
    def environments(self) -> Environments: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def operators(self) -> Operators: ...

    @property
    def writes(self) -> Writes: ...

    @property
    def published(self) -> Publishing: ...

    async def alone(self, purpose: str) -> None:
        """Waits until no other transaction is alone for this purpose; ends with the transaction."""
        ...

    async def commit(self) -> None:
        """Makes the changes last."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


NewUnitOfWork = Callable[[], TenancyUnitOfWork]
