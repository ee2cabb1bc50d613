"""Creates a project."""

from kongflow_tenancy.application.ports import NewProject, NewUnitOfWork, Write
from kongflow_tenancy.application.project_news import ProjectNews
from kongflow_tenancy.domain.errors import ProjectNotFound
from kongflow_tenancy.domain.organization import Project


class CreateProject:
    """Stores a project once per request id."""

    def __init__(self, unit_of_work: NewUnitOfWork, news: ProjectNews) -> None:
        self._unit_of_work = unit_of_work
        self._news = news

    async def __call__(self, new: NewProject, write: Write) -> Project:
        """The project; raises ProjectExists and OrganizationNotFound."""
        async with self._unit_of_work() as uow:
            first = await uow.writes.begin(write, new.id)
            if first != new.id:
                existing = await uow.projects.find(first)
                if existing is None:
                    raise ProjectNotFound(id=first)
                return existing
            project = await uow.projects.add(new)
            await uow.writes.audit(
                write,
                f"projects/{new.id}",
                slug=new.slug,
                name=new.name,
                organization_id=new.organization_id,
            )
            await uow.published.add(self._news.created(project, write))
            await uow.commit()
            return project
