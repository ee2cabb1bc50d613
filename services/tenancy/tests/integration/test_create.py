"""Organizations, projects and environments: made once per request id, unique by slug, audited."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from kongflow_common.errors import Contended
from kongflow_common.ids import new_id
from kongflow_common.tracing import TraceContext, use_trace
from kongflow_tenancy.application.ports import NewEnvironment, NewOrganization, NewProject
from kongflow_tenancy.domain.errors import (
    EnvironmentExists,
    OrganizationExists,
    OrganizationNotFound,
    ProjectExists,
    ProjectNotFound,
    RequestIdReused,
)
from kongflow_tenancy.domain.organization import DEFAULT_MAXIMUM_EXECUTION_TIME, EnvironmentType
from services.tenancy.tests.tenancy_context import StoredTenancy, a_write

STAGING = EnvironmentType.STAGING


def an_organization(slug: str = "acme") -> NewOrganization:
    return NewOrganization(new_id(), slug, "Acme")


def an_environment(project_id: UUID, slug: str = "dev", shortcode: str = "abcde") -> NewEnvironment:
    return NewEnvironment(new_id(), slug, STAGING, shortcode, project_id)


async def test_what_is_made_is_read_back(tenancy: StoredTenancy) -> None:
    use = tenancy.use
    organization = await use.create_organization(an_organization(), a_write())
    project = await use.create_project(
        NewProject(new_id(), "shop", "The shop", organization.id), a_write()
    )
    environment = await use.create_environment(an_environment(project.id), a_write())
    assert organization.runs_enabled
    assert organization.maximum_execution_time_per_run == DEFAULT_MAXIMUM_EXECUTION_TIME
    assert (project.name, project.organization_id) == ("The shop", organization.id)
    assert (environment.type, environment.shortcode) == (STAGING, "abcde")
    assert environment.organization_id == organization.id
    assert environment.auto_enable_internal_sources
    assert await use.queries.organization(organization.id) == organization
    assert await use.queries.project(project.id) == project
    assert await use.queries.environment(environment.id) == environment


async def test_a_slug_is_taken_once(tenancy: StoredTenancy) -> None:
    use = tenancy.use
    project_id = await tenancy.add_project("shop", "acme")
    owner = (await use.queries.project(project_id)).organization_id
    await use.create_environment(an_environment(project_id), a_write())
    with pytest.raises(OrganizationExists) as organization:
        await use.create_organization(an_organization("acme"), a_write())
    with pytest.raises(ProjectExists) as project:
        await use.create_project(NewProject(new_id(), "shop", "Shop", owner), a_write())
    with pytest.raises(EnvironmentExists) as environment:
        await use.create_environment(an_environment(project_id, shortcode="other"), a_write())
    assert organization.value.metadata == {"slug": "acme"}
    assert project.value.metadata == {"slug": "shop"}
    assert environment.value.metadata == {"slug": "dev"}


async def test_two_projects_have_environments_of_one_slug(tenancy: StoredTenancy) -> None:
    first = await tenancy.add_environment("dev")
    second = await tenancy.add_environment("dev")
    assert first.id != second.id


async def test_a_shortcode_drawn_twice_is_worth_another_try(tenancy: StoredTenancy) -> None:
    project_id = await tenancy.add_project()
    await tenancy.use.create_environment(an_environment(project_id, "a"), a_write())
    with pytest.raises(Contended):
        await tenancy.use.create_environment(an_environment(project_id, "b"), a_write())


async def test_what_belongs_to_nothing_is_refused(tenancy: StoredTenancy) -> None:
    stranger = new_id()
    with pytest.raises(OrganizationNotFound) as organization:
        await tenancy.use.create_project(NewProject(new_id(), "shop", "Shop", stranger), a_write())
    with pytest.raises(ProjectNotFound) as project:
        await tenancy.use.create_environment(an_environment(stranger), a_write())
    assert organization.value.metadata == {"id": str(stranger)}
    assert project.value.metadata == {"id": str(stranger)}


async def test_a_repeat_answers_what_the_first_call_made(tenancy: StoredTenancy) -> None:
    use = tenancy.use
    write = a_write(request_id="r1")
    organization = await use.create_organization(an_organization(), write)
    assert await use.create_organization(an_organization(), write) == organization
    write = a_write(request_id="r2")
    project = await use.create_project(NewProject(new_id(), "shop", "Shop", organization.id), write)
    repeat = NewProject(new_id(), "shop", "Shop", organization.id)
    assert await use.create_project(repeat, write) == project
    write = a_write(request_id="r3")
    environment = await use.create_environment(an_environment(project.id), write)
    assert await use.create_environment(an_environment(project.id), write) == environment
    assert len(await tenancy.audit()) == 3


async def test_repeats_at_once_make_one(tenancy: StoredTenancy) -> None:
    write = a_write(request_id="once")
    made = await asyncio.gather(
        *(tenancy.use.create_organization(an_organization(), write) for _ in range(16))
    )
    assert len({each.id for each in made}) == 1
    assert await tenancy.count("organizations") == 1
    assert await tenancy.count("write_requests") == 1
    assert len(await tenancy.audit()) == 1


async def test_a_request_id_whose_first_call_failed_is_free(tenancy: StoredTenancy) -> None:
    await tenancy.use.create_organization(an_organization("acme"), a_write())
    write = a_write(request_id="again")
    with pytest.raises(OrganizationExists):
        await tenancy.use.create_organization(an_organization("acme"), write)
    assert await tenancy.count("write_requests") == 0
    await tenancy.database.pool.execute("DELETE FROM tenancy.organizations")
    made = await tenancy.use.create_organization(an_organization("acme"), write)
    assert made.slug == "acme"


async def test_a_call_waits_for_its_twin_and_takes_over_when_that_fails(
    tenancy: StoredTenancy, tenancy_url: str
) -> None:
    write = a_write(request_id="twin")
    async with tenancy.unit_of_work() as first:
        await first.writes.begin(write, new_id())
        second = asyncio.create_task(tenancy.use.create_organization(an_organization(), write))
        await lock_is_awaited(tenancy_url)
        assert not second.done()
    assert (await second).slug == "acme"


async def test_a_request_id_stands_for_one_request(tenancy: StoredTenancy) -> None:
    first = a_write(request_id="r", fingerprint=b"one")
    await tenancy.use.create_organization(an_organization("acme"), first)
    other = a_write(request_id="r", fingerprint=b"other", operator_id=first.operator_id)
    with pytest.raises(RequestIdReused) as refused:
        await tenancy.use.create_organization(an_organization("other"), other)
    assert refused.value.metadata == {"request_id": "r"}
    assert await tenancy.count("organizations") == 1


async def test_request_ids_are_each_operators_own(tenancy: StoredTenancy) -> None:
    await tenancy.use.create_organization(an_organization("a"), a_write(request_id="r"))
    await tenancy.use.create_organization(an_organization("b"), a_write(request_id="r"))
    same = a_write("CreateProject", request_id="r")
    owner = (await tenancy.use.queries.organizations(None, 1))[0]
    await tenancy.use.create_project(NewProject(new_id(), "p", "P", owner.id), same)
    assert await tenancy.count("write_requests") == 3


async def test_the_audit_says_who_made_what_for_whom(tenancy: StoredTenancy) -> None:
    trace = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
    with use_trace(trace):
        organization = await tenancy.use.create_organization(
            an_organization(), a_write("CreateOrganization")
        )
        project = await tenancy.use.create_project(
            NewProject(new_id(), "shop", "Shop", organization.id), a_write("CreateProject")
        )
        environment = await tenancy.use.create_environment(
            an_environment(project.id), a_write("CreateEnvironment")
        )
    first, second, third = await tenancy.audit()
    assert {each.operator_name for each in (first, second, third)} == {"tester"}
    assert {each.trace_id for each in (first, second, third)} == {trace.trace_id}
    assert (first.action, first.subject) == (
        "CreateOrganization",
        f"organizations/{organization.id}",
    )
    assert first.details == {"slug": "acme", "title": "Acme"}
    assert (second.action, second.subject) == ("CreateProject", f"projects/{project.id}")
    assert second.details == {
        "slug": "shop",
        "name": "Shop",
        "organization_id": str(organization.id),
    }
    assert (third.action, third.subject) == ("CreateEnvironment", f"environments/{environment.id}")
    assert third.details == {"slug": "dev", "type": "STAGING", "project_id": str(project.id)}


async def test_a_refused_write_leaves_no_audit(tenancy: StoredTenancy) -> None:
    with pytest.raises(OrganizationNotFound):
        await tenancy.use.create_project(NewProject(new_id(), "shop", "S", new_id()), a_write())
    assert await tenancy.audit() == []


async def lock_is_awaited(url: str) -> None:
    """Returns when a transaction of this database waits for another."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(10):
            while True:
                waiting = await connection.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock'"
                )
                if await waiting.fetchone():
                    return
