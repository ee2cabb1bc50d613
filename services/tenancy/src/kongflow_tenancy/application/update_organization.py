"""Changes an organization."""

from uuid import UUID

from kongflow_tenancy.application.ports import NewUnitOfWork, OrganizationChange, Write
from kongflow_tenancy.domain.errors import OrganizationNotFound
from kongflow_tenancy.domain.organization import Organization


class UpdateOrganization:
    """Sets what the change names and leaves the rest."""

    def __init__(self, unit_of_work: NewUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(
        self, organization_id: UUID, change: OrganizationChange, write: Write
    ) -> Organization:
        """The organization as it is now; raises OrganizationNotFound."""
        async with self._unit_of_work() as uow:
            organization = await uow.organizations.change(organization_id, change)
            if organization is None:
                raise OrganizationNotFound(id=organization_id)
            await uow.writes.audit(
                write,
                f"organizations/{organization_id}",
                title=organization.title,
                runs_enabled=organization.runs_enabled,
            )
            await uow.commit()
            return organization
