"""Organizations, projects and environments in PostgreSQL."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.errors import Contended
from kongflow_tenancy.adapters.tables import ENVIRONMENTS, ORGANIZATIONS, PROJECTS
from kongflow_tenancy.adapters.violations import constraints_as_errors
from kongflow_tenancy.application.ports import (
    NewEnvironment,
    NewOrganization,
    NewProject,
    OrganizationChange,
)
from kongflow_tenancy.domain.errors import (
    EnvironmentExists,
    OrganizationExists,
    OrganizationNotFound,
    ProjectExists,
    ProjectNotFound,
)
from kongflow_tenancy.domain.organization import (
    Environment,
    EnvironmentType,
    Organization,
    Project,
)

_MILLISECOND = timedelta(milliseconds=1)


class PostgresOrganizations:
    """The organizations."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, new: NewOrganization) -> Organization:
        """Stores it; raises OrganizationExists."""
        statement = insert(ORGANIZATIONS).values(id=new.id, slug=new.slug, title=new.title)
        with constraints_as_errors({"organizations_slug_key": OrganizationExists(slug=new.slug)}):
            rows = await self._connection.execute(statement.returning(*ORGANIZATIONS.c))
        return _organization(rows.one())

    async def find(self, organization_id: UUID, *, lock: bool = False) -> Organization | None:
        """The organization, or ``None``; with ``lock`` nobody else changes it until the commit."""
        query = select(ORGANIZATIONS).where(ORGANIZATIONS.c.id == organization_id)
        if lock:
            # Not against those who only refer to it.
            query = query.with_for_update(key_share=True)
        row = (await self._connection.execute(query)).one_or_none()
        return _organization(row) if row else None

    async def find_slug(self, slug: str) -> Organization | None:
        """The organization with this slug, or ``None``."""
        query = select(ORGANIZATIONS).where(ORGANIZATIONS.c.slug == slug)
        row = (await self._connection.execute(query)).one_or_none()
        return _organization(row) if row else None

    async def change(self, organization_id: UUID, change: OrganizationChange) -> Organization:
        """Changes one that is there."""
        # Set in any case, so that there is something to set; the trigger has the last word.
        values: dict[str, object] = {"updated_at": func.now()}
        if change.title is not None:
            values["title"] = change.title
        if change.runs_enabled is not None:
            values["runs_enabled"] = change.runs_enabled
        if change.maximum_execution_time_per_run is not None:
            values["maximum_execution_time_per_run_ms"] = (
                change.maximum_execution_time_per_run // _MILLISECOND
            )
        statement = (
            update(ORGANIZATIONS)
            .where(ORGANIZATIONS.c.id == organization_id)
            .values(**values)
            .returning(*ORGANIZATIONS.c)
        )
        return _organization((await self._connection.execute(statement)).one())

    async def page(self, before: UUID | None, limit: int) -> Sequence[Organization]:
        """The newest ones that are older than ``before``."""
        query = select(ORGANIZATIONS).order_by(ORGANIZATIONS.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(ORGANIZATIONS.c.id < before)
        return [_organization(row) for row in await self._connection.execute(query)]


class PostgresProjects:
    """The projects."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, new: NewProject) -> Project:
        """Stores it; raises ProjectExists and OrganizationNotFound."""
        statement = insert(PROJECTS).values(
            id=new.id, slug=new.slug, name=new.name, organization_id=new.organization_id
        )
        meanings = {
            "projects_slug_key": ProjectExists(slug=new.slug),
            "projects_organization_id_fkey": OrganizationNotFound(id=new.organization_id),
        }
        with constraints_as_errors(meanings):
            rows = await self._connection.execute(statement.returning(*PROJECTS.c))
        return _project(rows.one())

    async def find(self, project_id: UUID) -> Project | None:
        """The project, or ``None``."""
        query = _projects().where(PROJECTS.c.id == project_id)
        row = (await self._connection.execute(query)).one_or_none()
        return _project(row) if row else None

    async def find_slug(self, slug: str) -> Project | None:
        """The project with this slug, or ``None``."""
        query = _projects().where(PROJECTS.c.slug == slug)
        row = (await self._connection.execute(query)).one_or_none()
        return _project(row) if row else None

    async def page(
        self, organization_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Project]:
        """The newest ones that are older than ``before``, of all organizations or of one."""
        query = _projects().order_by(PROJECTS.c.id.desc()).limit(limit)
        if organization_id is not None:
            query = query.where(PROJECTS.c.organization_id == organization_id)
        if before is not None:
            query = query.where(PROJECTS.c.id < before)
        return [_project(row) for row in await self._connection.execute(query)]


class PostgresEnvironments:
    """The environments."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, new: NewEnvironment) -> Environment:
        """Stores it; raises EnvironmentExists and ProjectNotFound."""
        statement = insert(ENVIRONMENTS).values(
            id=new.id,
            slug=new.slug,
            type=new.type.value,
            shortcode=new.shortcode,
            project_id=new.project_id,
        )
        meanings = {
            "environments_project_id_slug_key": EnvironmentExists(slug=new.slug),
            "environments_project_id_fkey": ProjectNotFound(id=new.project_id),
            # Two environments drew the same few characters: the repeat draws others.
            "environments_project_id_shortcode_key": Contended(),
        }
        # Locked, so that the project is not deleted before the environment is stored.
        living = _projects().where(PROJECTS.c.id == new.project_id)
        project = await self._connection.execute(living.with_for_update(key_share=True, read=True))
        if project.one_or_none() is None:
            raise ProjectNotFound(id=new.project_id)
        with constraints_as_errors(meanings):
            await self._connection.execute(statement)
        query = _environments().where(ENVIRONMENTS.c.id == new.id)
        return _environment((await self._connection.execute(query)).one())

    async def find(self, environment_id: UUID) -> Environment | None:
        """The environment, or ``None``."""
        query = _environments().where(ENVIRONMENTS.c.id == environment_id)
        row = (await self._connection.execute(query)).one_or_none()
        return _environment(row) if row else None

    async def find_slug(self, project_id: UUID, slug: str) -> Environment | None:
        """The environment with this slug, or ``None``."""
        query = _environments().where(
            ENVIRONMENTS.c.project_id == project_id, ENVIRONMENTS.c.slug == slug
        )
        row = (await self._connection.execute(query)).one_or_none()
        return _environment(row) if row else None

    async def page(
        self, project_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Environment]:
        """The newest ones that are older than ``before``, of all projects or of one."""
        query = _environments().order_by(ENVIRONMENTS.c.id.desc()).limit(limit)
        if project_id is not None:
            query = query.where(ENVIRONMENTS.c.project_id == project_id)
        if before is not None:
            query = query.where(ENVIRONMENTS.c.id < before)
        return [_environment(row) for row in await self._connection.execute(query)]


def _projects() -> Select[Any]:
    return select(PROJECTS).where(PROJECTS.c.deleted_at.is_(None))


def _environments() -> Select[Any]:
    return (
        select(*ENVIRONMENTS.c, PROJECTS.c.organization_id)
        .join(PROJECTS, PROJECTS.c.id == ENVIRONMENTS.c.project_id)
        .where(ENVIRONMENTS.c.deleted_at.is_(None))
    )


def _organization(row: Row[Any]) -> Organization:
    return Organization(
        id=row.id,
        slug=row.slug,
        title=row.title,
        runs_enabled=row.runs_enabled,
        maximum_execution_time_per_run=row.maximum_execution_time_per_run_ms * _MILLISECOND,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _project(row: Row[Any]) -> Project:
    return Project(
        id=row.id,
        slug=row.slug,
        name=row.name,
        organization_id=row.organization_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _environment(row: Row[Any]) -> Environment:
    return Environment(
        id=row.id,
        slug=row.slug,
        type=EnvironmentType(row.type),
        shortcode=row.shortcode,
        auto_enable_internal_sources=row.auto_enable_internal_sources,
        project_id=row.project_id,
        organization_id=row.organization_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
