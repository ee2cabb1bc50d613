"""What a change names is set and audited with what was before; the rest stays."""

import asyncio
from datetime import timedelta

import pytest

from kongflow_common.ids import new_id
from kongflow_tenancy.application.ports import NewOrganization, OrganizationChange
from kongflow_tenancy.domain.errors import OrganizationNotFound
from services.tenancy.tests.tenancy_context import StoredTenancy, a_write


async def test_what_is_named_changes_and_the_rest_stays(tenancy: StoredTenancy) -> None:
    made = await tenancy.use.create_organization(
        NewOrganization(new_id(), "acme", "Acme"), a_write()
    )
    renamed = await tenancy.use.update_organization(
        made.id, OrganizationChange(title="New"), a_write()
    )
    assert (renamed.title, renamed.runs_enabled) == ("New", True)
    assert renamed.maximum_execution_time_per_run == made.maximum_execution_time_per_run
    assert renamed.created_at == made.created_at
    assert renamed.updated_at > made.updated_at
    stopped = await tenancy.use.update_organization(
        made.id, OrganizationChange(runs_enabled=False), a_write()
    )
    assert (stopped.title, stopped.runs_enabled) == ("New", False)
    limited = await tenancy.use.update_organization(
        made.id,
        OrganizationChange(maximum_execution_time_per_run=timedelta(seconds=90.5)),
        a_write(),
    )
    assert limited.maximum_execution_time_per_run == timedelta(seconds=90.5)
    assert await tenancy.use.queries.organization(made.id) == limited


async def test_the_audit_has_old_and_new_values_of_what_was_named(
    tenancy: StoredTenancy,
) -> None:
    made = await tenancy.use.create_organization(
        NewOrganization(new_id(), "acme", "Acme"), a_write()
    )
    write = a_write("UpdateOrganization")
    everything = OrganizationChange(
        title="New", runs_enabled=False, maximum_execution_time_per_run=timedelta(hours=1)
    )
    await tenancy.use.update_organization(made.id, everything, write)
    await tenancy.use.update_organization(made.id, OrganizationChange(runs_enabled=True), write)
    first, second = await tenancy.audit("UpdateOrganization")
    assert first.subject == second.subject == f"organizations/{made.id}"
    assert first.details == {
        "before": {
            "title": "Acme",
            "runs_enabled": True,
            "maximum_execution_time_per_run": "900s",
        },
        "after": {
            "title": "New",
            "runs_enabled": False,
            "maximum_execution_time_per_run": "3600s",
        },
    }
    assert second.details == {"before": {"runs_enabled": False}, "after": {"runs_enabled": True}}


async def test_changes_at_once_are_audited_one_after_the_other(tenancy: StoredTenancy) -> None:
    made = await tenancy.use.create_organization(NewOrganization(new_id(), "acme", "0"), a_write())
    write = a_write("UpdateOrganization")
    await asyncio.gather(
        *(
            tenancy.use.update_organization(made.id, OrganizationChange(title=str(n)), write)
            for n in range(1, 9)
        )
    )
    steps = {
        before["title"]: after["title"]
        for entry in await tenancy.audit("UpdateOrganization")
        if isinstance(before := entry.details["before"], dict)
        and isinstance(after := entry.details["after"], dict)
    }
    title, seen = "0", 0
    while title in steps:
        title, seen = steps[title], seen + 1
    assert seen == 8
    assert (await tenancy.use.queries.organization(made.id)).title == title


async def test_an_unknown_organization_is_not_found(tenancy: StoredTenancy) -> None:
    with pytest.raises(OrganizationNotFound):
        await tenancy.use.update_organization(new_id(), OrganizationChange(title="New"), a_write())
    assert await tenancy.audit() == []
