"""Environments and projects are deleted over a real channel."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import orjson
import pytest

from kongflow.tenancy.internal.v1 import principal_service_pb2 as principal_pb
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_tenancy.domain.credentials import credential_hash
from kongflow_tenancy.domain.errors import CredentialNotFound
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext

CODE = grpc.StatusCode


async def delete_environment(context: TenancyContext, id_: str) -> None:
    await context.client.DeleteEnvironment(
        pb.DeleteEnvironmentRequest(id=id_), metadata=context.as_operator, timeout=TIMEOUT
    )


async def delete_project(context: TenancyContext, id_: str) -> list[str]:
    answer = await context.client.DeleteProject(
        pb.DeleteProjectRequest(id=id_), metadata=context.as_operator, timeout=TIMEOUT
    )
    return list(answer.environment_ids)


def told(messages: list[OutboxMessage]) -> list[tuple[str, str]]:
    events = [orjson.loads(message.args) for message in messages]
    return [(event["type"], event["resourceId"]) for event in events]


async def test_a_deleted_environment_is_gone_and_its_slug_is_free(
    context: TenancyContext, worker_queue: RecordingWorkerQueue
) -> None:
    project = await context.project()
    environment = await context.environment(project.id, "dev")
    key = await context.key(environment.id)
    other = await context.environment(project.id, "other")
    await delete_environment(context, environment.id)
    with refusal(CODE.NOT_FOUND) as refused:
        await context.client.GetEnvironment(
            pb.GetEnvironmentRequest(id=environment.id),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
    assert refused.reason == "ENVIRONMENT_NOT_FOUND"
    listed = await context.client.ListEnvironments(
        pb.ListEnvironmentsRequest(project_id=project.id),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    assert [each.id for each in listed.environments] == [other.id]
    with refusal(CODE.NOT_FOUND):
        await context.key(environment.id)
    with pytest.raises(CredentialNotFound):
        await context.stored.look_up_credential(credential_hash(key.key_text))
    await context.environment(project.id, "dev")

    await worker_queue.wait_for(PUBLISH, 1)
    [message] = worker_queue.of_kind(PUBLISH)
    assert told([message]) == [("environment.deleted", environment.id)]
    assert orjson.loads(message.args)["data"] == {
        "projectId": project.id,
        "organizationId": project.organization_id,
    }
    # Whoever believed in a key has seen by then that it is none.
    assert message.run_at is not None
    assert message.run_at > datetime.now(UTC) + timedelta(seconds=20)
    [entry] = await context.stored.audit("DeleteEnvironment")
    assert (entry.subject, entry.details["slug"]) == (f"environments/{environment.id}", "dev")


async def test_a_deleted_project_takes_its_environments_along(
    context: TenancyContext, worker_queue: RecordingWorkerQueue
) -> None:
    project = await context.project(slug="shop")
    ids = [(await context.environment(project.id, slug)).id for slug in ("dev", "live")]
    stays = await context.environment()
    assert await delete_project(context, project.id) == sorted(ids)
    with refusal(CODE.NOT_FOUND) as refused:
        await context.client.GetProject(
            pb.GetProjectRequest(id=project.id), metadata=context.as_operator, timeout=TIMEOUT
        )
    assert refused.reason == "PROJECT_NOT_FOUND"
    with refusal(CODE.NOT_FOUND):
        await context.environment(project.id, "new")
    with refusal(CODE.NOT_FOUND):
        await delete_environment(context, ids[0])
    await context.project(project.organization_id, "shop")
    left = await context.client.ListEnvironments(
        pb.ListEnvironmentsRequest(), metadata=context.as_operator, timeout=TIMEOUT
    )
    assert [each.id for each in left.environments] == [stays.id]
    await worker_queue.wait_for(PUBLISH, 3)
    assert sorted(told(worker_queue.of_kind(PUBLISH))) == sorted(
        [("project.deleted", project.id), *(("environment.deleted", id_) for id_ in ids)]
    )


@pytest.mark.parametrize("kind", ["environment", "project"])
async def test_what_is_deleted_cannot_be_deleted_again(
    context: TenancyContext, worker_queue: RecordingWorkerQueue, kind: str
) -> None:
    environment = await context.environment()
    delete, id_ = {
        "environment": (delete_environment, environment.id),
        "project": (delete_project, environment.project_id),
    }[kind]
    for unknown in (str(new_id()), "not an id"):
        with pytest.raises(grpc.aio.AioRpcError):
            await delete(context, unknown)
    outcomes = await asyncio.gather(
        *(delete(context, id_) for _ in range(5)), return_exceptions=True
    )
    refusals = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert [each.code() for each in refusals] == [CODE.NOT_FOUND] * 4
    await worker_queue.wait_for(PUBLISH, 1 if kind == "environment" else 2)
    assert len(await context.stored.audit(f"Delete{kind.title()}")) == 1


async def test_no_environment_comes_to_a_project_that_is_being_deleted(
    context: TenancyContext,
) -> None:
    """Whichever comes first: a project that is gone has no environment that is not."""
    for _ in range(10):
        project = await context.project()
        await asyncio.gather(
            *(context.environment(project.id, f"e{n}") for n in range(4)),
            delete_project(context, project.id),
            return_exceptions=True,
        )
        listed = await context.client.ListEnvironments(
            pb.ListEnvironmentsRequest(project_id=project.id),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
        assert list(listed.environments) == []


async def test_operators_with_the_scope_delete(context: TenancyContext) -> None:
    environment = await context.environment()
    reader = await context.stored.add_operator("reader", "tenancy:read")
    with refusal(CODE.PERMISSION_DENIED):
        await context.client.DeleteEnvironment(
            pb.DeleteEnvironmentRequest(id=environment.id),
            metadata=bearer(reader),
            timeout=TIMEOUT,
        )


async def test_services_are_told_that_it_is_gone(context: TenancyContext) -> None:
    environment = await context.environment()
    await context.key(environment.id)
    await delete_environment(context, environment.id)
    service = bearer(context.server.service_token("runs"))
    with refusal(CODE.NOT_FOUND):
        await context.principals.DescribeEnvironment(
            principal_pb.DescribeEnvironmentRequest(environment_id=environment.id),
            metadata=service,
            timeout=TIMEOUT,
        )
