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
            before = await uow.organizations.find(organization_id, lock=True)
            if before is None:
                raise OrganizationNotFound(id=organization_id)
            organization = await uow.organizations.change(organization_id, change)
            await uow.writes.audit(
                write,
                f"organizations/{organization_id}",
                before=_named(before, change),
                after=_named(organization, change),
            )
            await uow.commit()
            return organization


def _named(organization: Organization, change: OrganizationChange) -> dict[str, object]:
    """The values of what the change names, as the audit shows them."""
    values: dict[str, object] = {}
    if change.title is not None:
        values["title"] = organization.title
    if change.runs_enabled is not None:
        values["runs_enabled"] = organization.runs_enabled
    if change.maximum_execution_time_per_run is not None:
        limit = organization.maximum_execution_time_per_run
        values["maximum_execution_time_per_run"] = f"{limit.total_seconds():g}s"
    return values
