"""Deletes environments and projects, and tells the other services."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.eventing.declared_data import EnvironmentDeleted, ProjectDeleted
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.publisher import IntegrationEvents
from kongflow_common.outbox.message import OutboxMessage
from kongflow_tenancy.application.ports import Publishing, Write, Writes
from kongflow_tenancy.domain.errors import EnvironmentNotFound, ProjectNotFound
from kongflow_tenancy.domain.news import ENVIRONMENT_DELETED, PROJECT_DELETED
from kongflow_tenancy.domain.organization import Environment, Project

__all__ = ["DeleteEnvironment", "DeleteProject", "DeletionUnitOfWork", "Deletions"]

# Services believe for 5 seconds what they know of a key, and calls that came in until then end:
# what they store of the environment is there when it is purged.
_TOLD_AFTER: Final = timedelta(seconds=30)


class Deletions(Protocol):
    """Marks as deleted; what is marked is found by nobody, and its slug is free."""

    async def environment(self, environment_id: UUID) -> Environment | None:
        """The environment as it was, or ``None``."""
        ...

    async def project(self, project_id: UUID) -> tuple[Project, Sequence[Environment]] | None:
        """The project and its environments as they were, or ``None``.

        None is added to it meanwhile.
        """
        ...


class DeletionUnitOfWork(Protocol):
    """One transaction; leaving without commit rolls back."""

    @property
    def deletions(self) -> Deletions: ...

    @property
    def writes(self) -> Writes: ...

    @property
    def published(self) -> Publishing: ...

    async def tell(self, *messages: OutboxMessage) -> None:
        """Sends the messages when, and only when, the transaction is committed."""
        ...

    async def commit(self) -> None:
        """Makes the changes last."""
        ...


NewDeletionUnitOfWork = Callable[[], AbstractAsyncContextManager[DeletionUnitOfWork]]


class DeleteEnvironment:
    """Its keys stop working; what the other services hold of it they purge."""

    def __init__(
        self, unit_of_work: NewDeletionUnitOfWork, events: IntegrationEvents, clock: Clock
    ) -> None:
        self._unit_of_work = unit_of_work
        self._news = _News(events, clock)

    async def __call__(self, environment_id: UUID, write: Write) -> None:
        """Raises EnvironmentNotFound."""
        async with self._unit_of_work() as uow:
            environment = await uow.deletions.environment(environment_id)
            if environment is None:
                raise EnvironmentNotFound(id=environment_id)
            await uow.writes.audit(
                write,
                f"environments/{environment_id}",
                slug=environment.slug,
                project_id=environment.project_id,
            )
            await self._news.tell(uow, self._news.of_environment(environment))
            await uow.commit()


class DeleteProject:
    """Deletes its environments along with it."""

    def __init__(
        self, unit_of_work: NewDeletionUnitOfWork, events: IntegrationEvents, clock: Clock
    ) -> None:
        self._unit_of_work = unit_of_work
        self._news = _News(events, clock)

    async def __call__(self, project_id: UUID, write: Write) -> Sequence[UUID]:
        """The environments that are deleted now; raises ProjectNotFound."""
        async with self._unit_of_work() as uow:
            deleted = await uow.deletions.project(project_id)
            if deleted is None:
                raise ProjectNotFound(id=project_id)
            project, environments = deleted
            await uow.writes.audit(
                write,
                f"projects/{project_id}",
                slug=project.slug,
                environments=len(environments),
            )
            await self._news.tell(
                uow,
                self._news.of_project(project),
                *(self._news.of_environment(each) for each in environments),
            )
            await uow.commit()
            return [each.id for each in environments]


class _News:
    """What is told, whether anybody listens by now or not: it happens once."""

    def __init__(self, events: IntegrationEvents, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def of_environment(self, environment: Environment) -> PublishedEvent:
        return self._events.event(
            ENVIRONMENT_DELETED,
            str(environment.id),
            EnvironmentDeleted(
                project_id=str(environment.project_id),
                organization_id=str(environment.organization_id),
            ),
            # The jobs are nobody's: their environment is gone.
            belonging=Belonging(None, environment.project_id, environment.organization_id),
        )

    def of_project(self, project: Project) -> PublishedEvent:
        return self._events.event(
            PROJECT_DELETED,
            str(project.id),
            ProjectDeleted(organization_id=str(project.organization_id)),
            belonging=Belonging(organization_id=project.organization_id),
        )

    async def tell(self, uow: DeletionUnitOfWork, *events: PublishedEvent) -> None:
        told_at = self._clock.now() + _TOLD_AFTER
        await uow.published.add(*events)
        await uow.tell(*(replace(self._events.enqueued(each), run_at=told_at) for each in events))
