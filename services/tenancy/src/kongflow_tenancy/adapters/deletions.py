"""Marks environments and projects as deleted in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Text, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_tenancy.adapters.tables import ENVIRONMENTS, PROJECTS
from kongflow_tenancy.adapters.tenants import PostgresEnvironments, PostgresProjects
from kongflow_tenancy.adapters.writes import PostgresWrites
from kongflow_tenancy.domain.organization import Environment, Project


class PostgresDeletions:
    """The Deletions on PostgreSQL.

    The slug becomes the id, which no slug is: another may have the old one.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def environment(self, environment_id: UUID) -> Environment | None:
        """Marks one; see Deletions.environment."""
        locked = (
            select(ENVIRONMENTS.c.id)
            .where(ENVIRONMENTS.c.id == environment_id, ENVIRONMENTS.c.deleted_at.is_(None))
            .with_for_update()
        )
        if (await self._connection.execute(locked)).one_or_none() is None:
            return None
        found = await PostgresEnvironments(self._connection).find(environment_id)
        await self._mark([environment_id])
        return found

    async def project(self, project_id: UUID) -> tuple[Project, Sequence[Environment]] | None:
        """Marks one with its environments; see Deletions.project."""
        locked = (
            select(PROJECTS.c.id)
            .where(PROJECTS.c.id == project_id, PROJECTS.c.deleted_at.is_(None))
            # Against those who add an environment, too.
            .with_for_update()
        )
        if (await self._connection.execute(locked)).one_or_none() is None:
            return None
        project = await PostgresProjects(self._connection).find(project_id)
        if project is None:
            return None
        of_project = (
            select(ENVIRONMENTS.c.id)
            .where(ENVIRONMENTS.c.project_id == project_id, ENVIRONMENTS.c.deleted_at.is_(None))
            .order_by(ENVIRONMENTS.c.id)
            .with_for_update()
        )
        ids = list((await self._connection.execute(of_project)).scalars())
        environments = PostgresEnvironments(self._connection)
        found = [await environments.find(each) for each in ids]
        await self._mark(ids)
        await self._connection.execute(
            update(PROJECTS)
            .where(PROJECTS.c.id == project_id)
            .values(deleted_at=func.now(), slug=cast(PROJECTS.c.id, Text))
        )
        return project, [each for each in found if each is not None]

    async def _mark(self, environment_ids: Sequence[UUID]) -> None:
        await self._connection.execute(
            update(ENVIRONMENTS)
            .where(ENVIRONMENTS.c.id.in_(environment_ids))
            .values(deleted_at=func.now(), slug=cast(ENVIRONMENTS.c.id, Text))
        )


class PostgresDeletionUnitOfWork(OutboxUnitOfWork):
    """The DeletionUnitOfWork on PostgreSQL."""

    def attach(self, connection: AsyncConnection) -> None:
        """Makes the repositories."""
        self.deletions = PostgresDeletions(connection)
        self.writes = PostgresWrites(connection)

    async def tell(self, *messages: OutboxMessage) -> None:
        """Sends the messages with the commit."""
        await self.outbox.add(*messages)
