"""Reads organizations, projects, environments and keys."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_tenancy.application.ports import NewUnitOfWork
from kongflow_tenancy.domain.credentials import EnvironmentKey
from kongflow_tenancy.domain.errors import (
    EnvironmentNotFound,
    OrganizationNotFound,
    ProjectNotFound,
)
from kongflow_tenancy.domain.organization import Environment, Organization, Project


class TenancyQueries:
    """One thing by its id, or a page of the newest that are older than ``before``."""

    def __init__(self, unit_of_work: NewUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def organization(self, organization_id: UUID) -> Organization:
        """Raises OrganizationNotFound."""
        async with self._unit_of_work() as uow:
            found = await uow.organizations.find(organization_id)
        if found is None:
            raise OrganizationNotFound(id=organization_id)
        return found

    async def organizations(self, before: UUID | None, limit: int) -> Sequence[Organization]:
        """A page of all organizations."""
        async with self._unit_of_work() as uow:
            return await uow.organizations.page(before, limit)

    async def project(self, project_id: UUID) -> Project:
        """Raises ProjectNotFound."""
        async with self._unit_of_work() as uow:
            found = await uow.projects.find(project_id)
        if found is None:
            raise ProjectNotFound(id=project_id)
        return found

    async def projects(
        self, organization_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Project]:
        """A page of projects, of all organizations or of one."""
        async with self._unit_of_work() as uow:
            return await uow.projects.page(organization_id, before, limit)

    async def environment(self, environment_id: UUID) -> Environment:
        """Raises EnvironmentNotFound."""
        async with self._unit_of_work() as uow:
            found = await uow.environments.find(environment_id)
        if found is None:
            raise EnvironmentNotFound(id=environment_id)
        return found

    async def environments(
        self, project_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Environment]:
        """A page of environments, of all projects or of one."""
        async with self._unit_of_work() as uow:
            return await uow.environments.page(project_id, before, limit)

    async def keys(
        self, environment_id: UUID, before: UUID | None, limit: int
    ) -> Sequence[EnvironmentKey]:
        """A page of an environment's keys; raises EnvironmentNotFound."""
        async with self._unit_of_work() as uow:
            if await uow.environments.find(environment_id) is None:
                raise EnvironmentNotFound(id=environment_id)
            return await uow.keys.page(environment_id, before, limit)
