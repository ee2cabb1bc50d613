"""Creates an organization."""

from kongflow_tenancy.application.ports import NewOrganization, NewUnitOfWork, Write
from kongflow_tenancy.domain.errors import OrganizationNotFound
from kongflow_tenancy.domain.organization import Organization


class CreateOrganization:
    """Stores an organization once per request id."""

    def __init__(self, unit_of_work: NewUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, new: NewOrganization, write: Write) -> Organization:
        """The organization; raises OrganizationExists when the slug is taken."""
        async with self._unit_of_work() as uow:
            first = await uow.writes.begin(write, new.id)
            if first != new.id:
                existing = await uow.organizations.find(first)
                if existing is None:
                    raise OrganizationNotFound(id=first)
                return existing
            organization = await uow.organizations.add(new)
            await uow.writes.audit(write, f"organizations/{new.id}", slug=new.slug, title=new.title)
            await uow.commit()
            return organization
