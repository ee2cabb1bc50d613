"""What becomes of projects and environments is published with it, over a real channel."""

import asyncio

import orjson

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as internal_pb
from kongflow.tenancy.tasks.v1 import tenancy_tasks_service_pb2 as tasks_pb
from kongflow.tenancy.tasks.v1.tenancy_tasks_service_pb2_grpc import TenancyTasksServiceStub
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.published import published_events
from kongflow_common.testing.refusals import refusal
from kongflow_tenancy.application.bootstrap import FirstCredentials
from services.tenancy.tests.tenancy_context import TIMEOUT, StoredTenancy, TenancyContext


async def published(stored: StoredTenancy) -> list[internal_pb.PublishedEvent]:
    return list(await published_events(stored.database, "tenancy"))


async def test_a_project_is_told_of_once(context: TenancyContext) -> None:
    organization = await context.organization()
    request = pb.CreateProjectRequest(
        organization_id=organization.id, slug=f"p-{new_id()}", name="Shop", request_id="r1"
    )
    answers = [
        await context.client.CreateProject(request, metadata=context.as_operator, timeout=TIMEOUT)
        for _ in range(2)
    ]
    project = answers[-1].project
    [event] = await published(context.stored)
    assert (event.type, event.version, event.resource_id) == ("project.created", 1, project.id)
    data = orjson.loads(event.data)
    assert data == {
        "projectId": project.id,
        "name": "Shop",
        "organizationId": organization.id,
        "createdBy": event.user_id,
    }
    assert event.user_id
    assert (event.environment_id, event.project_id) == ("", project.id)


async def test_a_project_that_is_refused_is_not_told_of(context: TenancyContext) -> None:
    project = await context.project()
    with refusal():
        await context.project(slug=project.slug)
    assert [event.resource_id for event in await published(context.stored)] == [project.id]


async def test_deletions_are_logged_at_once(context: TenancyContext) -> None:
    project = await context.project()
    environments = [await context.environment(project.id, slug) for slug in ("dev", "prod")]
    await context.stored.database.pool.execute("TRUNCATE tenancy.published_events")
    await context.client.DeleteEnvironment(
        pb.DeleteEnvironmentRequest(id=environments[0].id),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    await context.client.DeleteProject(
        pb.DeleteProjectRequest(id=project.id), metadata=context.as_operator, timeout=TIMEOUT
    )
    events = await published(context.stored)
    assert [(event.type, event.resource_id) for event in events] == [
        ("environment.deleted", environments[0].id),
        ("project.deleted", project.id),
        ("environment.deleted", environments[1].id),
    ]
    # Those who see the project see the first; nobody sees a project that is gone.
    assert [event.project_id for event in events] == [project.id, "", project.id]
    assert {event.organization_id for event in events} == {project.organization_id}


async def test_the_first_project_is_told_of_by_the_bootstrap(context: TenancyContext) -> None:
    credentials = FirstCredentials(
        *(f"{prefix}{new_id().hex}" for prefix in ("tr_dev_", "pk_dev_", "op_"))
    )
    bootstrap = context.stored.bootstrap()
    for _ in range(2):
        await bootstrap(credentials)
    [event] = await published(context.stored)
    assert event.type == "project.created"
    assert orjson.loads(event.data)["name"] == "Shop"


async def test_a_project_s_creation_is_published_again_once(context: TenancyContext) -> None:
    await context.project()
    [created] = await published(context.stored)
    replay = internal_pb.PublishedEvent()
    replay.CopyFrom(created)
    replay.id, replay.replay_of = str(new_id()), created.id
    await context.stored.database.pool.execute("TRUNCATE tenancy.published_events")
    stub = TenancyTasksServiceStub(context.server.tasks_channel)
    await asyncio.gather(
        *(
            stub.ReplayDomainEvent(
                tasks_pb.ReplayDomainEventRequest(event=replay),
                metadata=bearer(context.server.service_token()),
                timeout=TIMEOUT,
            )
            for _ in range(3)
        )
    )
    assert await published(context.stored) == [replay]
