"""Makes what a new system needs before the first call: a tenant with keys, and an operator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.ids import new_id
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.ports import (
    NewEnvironment,
    NewOrganization,
    NewProject,
    NewUnitOfWork,
    TenancyUnitOfWork,
)
from kongflow_tenancy.domain.credentials import KeyKind, OperatorPrincipal, credential_hash
from kongflow_tenancy.domain.organization import EnvironmentType

OPERATOR_NAME = "admin"
ALL_SCOPES = ("*",)

ORGANIZATION_SLUG = "acme"
PROJECT_SLUG = "shop"
ENVIRONMENT_SLUG = "dev"


@dataclass(frozen=True, slots=True)
class FirstCredentials:
    """The texts of the first credentials, made by whoever starts the system."""

    api_key: str
    public_key: str
    operator_token: str


class Bootstrap:
    """Sees to the first tenant, its keys and an operator. What is there already stays."""

    def __init__(
        self,
        unit_of_work: NewUnitOfWork,
        maker: KeyMaker,
        clock: Clock,
        new_shortcode: Callable[[], str],
    ) -> None:
        self._unit_of_work = unit_of_work
        self._maker = maker
        self._clock = clock
        self._new_shortcode = new_shortcode

    async def __call__(self, credentials: FirstCredentials) -> UUID:
        """Answers the id of the first environment."""
        async with self._unit_of_work() as uow:
            environment_id = await self._environment(uow, await self._project(uow))
            now = self._clock.now()
            await self._key(uow, environment_id, KeyKind.SECRET, credentials.api_key, now)
            await self._key(uow, environment_id, KeyKind.PUBLIC, credentials.public_key, now)
            await uow.operators.add(
                OperatorPrincipal(new_id(), OPERATOR_NAME, ALL_SCOPES),
                credential_hash(credentials.operator_token),
            )
            await uow.commit()
            return environment_id

    async def _project(self, uow: TenancyUnitOfWork) -> UUID:
        organization = await uow.organizations.find_slug(ORGANIZATION_SLUG)
        if organization is None:
            organization = await uow.organizations.add(
                NewOrganization(new_id(), ORGANIZATION_SLUG, "Acme")
            )
        project = await uow.projects.find_slug(PROJECT_SLUG)
        if project is None:
            project = await uow.projects.add(
                NewProject(new_id(), PROJECT_SLUG, "Shop", organization.id)
            )
        return project.id

    async def _environment(self, uow: TenancyUnitOfWork, project_id: UUID) -> UUID:
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
        return environment.id

    async def _key(
        self, uow: TenancyUnitOfWork, environment_id: UUID, kind: KeyKind, text: str, now: datetime
    ) -> None:
        if await uow.keys.principal(credential_hash(text), now) is None:
            await uow.keys.add(self._maker.wrap(new_id(), environment_id, kind, text))
