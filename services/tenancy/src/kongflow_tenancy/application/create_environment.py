"""Creates an environment."""

from kongflow_tenancy.application.ports import NewEnvironment, NewUnitOfWork, Write
from kongflow_tenancy.domain.errors import EnvironmentNotFound
from kongflow_tenancy.domain.organization import Environment


class CreateEnvironment:
    """Stores an environment once per request id. It has no keys yet."""

    def __init__(self, unit_of_work: NewUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, new: NewEnvironment, write: Write) -> Environment:
        """The environment; raises EnvironmentExists and ProjectNotFound."""
        async with self._unit_of_work() as uow:
            first = await uow.writes.begin(write, new.id)
            if first != new.id:
                existing = await uow.environments.find(first)
                if existing is None:
                    raise EnvironmentNotFound(id=first)
                return existing
            environment = await uow.environments.add(new)
            await uow.writes.audit(
                write,
                f"environments/{new.id}",
                slug=new.slug,
                type=new.type,
                project_id=new.project_id,
            )
            await uow.commit()
            return environment
