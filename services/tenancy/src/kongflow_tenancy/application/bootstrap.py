"""Makes what a new system needs before the first call: a tenant with keys, and an operator."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.ids import new_id
from kongflow_tenancy.application.create_environment_key import made_before
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.ports import (
    KeyVault,
    NewEnvironment,
    NewOrganization,
    NewProject,
    NewUnitOfWork,
    TenancyUnitOfWork,
    Write,
)
from kongflow_tenancy.application.project_news import ProjectNews
from kongflow_tenancy.domain.credentials import (
    EnvironmentKey,
    KeyKind,
    Operator,
    OperatorPrincipal,
    credential_hash,
)
from kongflow_tenancy.domain.errors import EnvironmentExists, ProjectExists
from kongflow_tenancy.domain.organization import EnvironmentType

OPERATOR_NAME = "admin"
ALL_SCOPES = ("*",)
ACTION = "Bootstrap"

ORGANIZATION_SLUG = "acme"
PROJECT_SLUG = "shop"
ENVIRONMENT_SLUG = "dev"


@dataclass(frozen=True, slots=True)
class FirstCredentials:
    """The texts of the first credentials, made by whoever starts the system."""

    api_key: str
    public_key: str
    operator_token: str


@dataclass(frozen=True, slots=True)
class FirstTenant:
    """What the credentials stand for; ``ended`` names those that count no longer."""

    environment_id: UUID
    ended: tuple[str, ...]


class Bootstrap:
    """Sees to the first tenant, its keys and an operator.

    What is there already stays as it is, a revoked key revoked; only an operator who is known
    under another token gets this one. One bootstrap at a time does anything.
    """

    def __init__(
        self,
        unit_of_work: NewUnitOfWork,
        maker: KeyMaker,
        vault: KeyVault,
        clock: Clock,
        new_shortcode: Callable[[], str],
        news: ProjectNews,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._maker = maker
        self._vault = vault
        self._clock = clock
        self._new_shortcode = new_shortcode
        self._news = news

    async def __call__(self, credentials: FirstCredentials) -> FirstTenant:
        """What there is afterwards.

        Raises ProjectExists and EnvironmentExists when another tenant has the slugs: keys of a
        development environment must not open anything else. Raises SealedTextUnreadable when the
        settings have lost the encryption key of the first API key.
        """
        async with self._unit_of_work() as uow:
            await uow.alone("bootstrap")
            operator = await self._operator(uow, credential_hash(credentials.operator_token))
            write = _in_the_name_of(operator)
            secret = await uow.keys.find_hash(credential_hash(credentials.api_key))
            if secret is None:
                environment_id = await self._environment(uow, write)
                secret = await self._add_key(
                    uow, write, environment_id, KeyKind.SECRET, credentials.api_key
                )
            await made_before(uow, self._vault, secret.id)
            public = await uow.keys.find_hash(credential_hash(credentials.public_key))
            if public is None:
                public = await self._add_key(
                    uow, write, secret.environment_id, KeyKind.PUBLIC, credentials.public_key
                )
            await uow.commit()
        now = self._clock.now()
        lives = {
            "api_key": secret.lives(now),
            "public_key": public.lives(now),
            "operator_token": operator.revoked_at is None,
        }
        return FirstTenant(
            secret.environment_id, tuple(name for name, living in lives.items() if not living)
        )

    async def _operator(self, uow: TenancyUnitOfWork, token_hash: bytes) -> Operator:
        operator = await uow.operators.find_name(OPERATOR_NAME)
        if operator is not None and operator.token_hash == token_hash:
            return operator
        if operator is None:
            operator = Operator(new_id(), OPERATOR_NAME, token_hash, None)
            await uow.operators.add(
                OperatorPrincipal(operator.id, operator.name, ALL_SCOPES), token_hash
            )
            change = "created"
        else:
            operator = Operator(operator.id, operator.name, token_hash, None)
            await uow.operators.replace_token(operator.id, token_hash)
            change = "token replaced"
        await uow.writes.audit(_in_the_name_of(operator), f"operators/{operator.id}", change=change)
        return operator

    async def _environment(self, uow: TenancyUnitOfWork, write: Write) -> UUID:
        project_id = await self._project(uow, write)
        environment = await uow.environments.find_slug(project_id, ENVIRONMENT_SLUG)
        if environment is None:
            environment = await uow.environments.add(
                NewEnvironment(
                    new_id(),
                    ENVIRONMENT_SLUG,
                    EnvironmentType.DEVELOPMENT,
                    self._new_shortcode(),
                    project_id,
                )
            )
            await uow.writes.audit(
                write,
                f"environments/{environment.id}",
                slug=environment.slug,
                type=environment.type,
                project_id=project_id,
            )
        elif environment.type is not EnvironmentType.DEVELOPMENT:
            raise EnvironmentExists(
                f"The environment {ENVIRONMENT_SLUG} is there, but not for development",
                slug=ENVIRONMENT_SLUG,
            )
        return environment.id

    async def _project(self, uow: TenancyUnitOfWork, write: Write) -> UUID:
        organization = await uow.organizations.find_slug(ORGANIZATION_SLUG)
        if organization is None:
            organization = await uow.organizations.add(
                NewOrganization(new_id(), ORGANIZATION_SLUG, "Acme")
            )
            await uow.writes.audit(
                write, f"organizations/{organization.id}", slug=organization.slug
            )
        project = await uow.projects.find_slug(PROJECT_SLUG)
        if project is None:
            project = await uow.projects.add(
                NewProject(new_id(), PROJECT_SLUG, "Shop", organization.id)
            )
            await uow.writes.audit(
                write,
                f"projects/{project.id}",
                slug=project.slug,
                organization_id=organization.id,
            )
            await uow.published.add(self._news.created(project, write))
        elif project.organization_id != organization.id:
            raise ProjectExists(
                f"The project {PROJECT_SLUG} belongs to another organization than "
                f"{ORGANIZATION_SLUG}",
                slug=PROJECT_SLUG,
            )
        return project.id

    async def _add_key(
        self, uow: TenancyUnitOfWork, write: Write, environment_id: UUID, kind: KeyKind, text: str
    ) -> EnvironmentKey:
        key = await uow.keys.add(self._maker.wrap(new_id(), environment_id, kind, text))
        await uow.writes.audit(
            write, f"keys/{key.id}", environment_id=environment_id, kind=kind, hint=key.hint
        )
        return key


def _in_the_name_of(operator: Operator) -> Write:
    return Write(operator.id, operator.name, ACTION, request_id="", fingerprint=b"")
