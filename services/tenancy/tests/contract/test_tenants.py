"""Organizations, projects and environments over a real channel."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kongflow.tenancy.v1 import environment_pb2, organization_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext

CODE = grpc.StatusCode
PRODUCTION = environment_pb2.Environment.TYPE_PRODUCTION


async def updated(
    context: TenancyContext, organization: organization_pb2.Organization, *paths: str
) -> organization_pb2.Organization:
    answer = await context.client.UpdateOrganization(
        pb.UpdateOrganizationRequest(
            organization=organization, update_mask=FieldMask(paths=paths) if paths else None
        ),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    return answer.organization


async def test_an_organization_is_made_and_read(context: TenancyContext) -> None:
    made = await context.organization("acme", title="Acme Inc.")
    assert (made.slug, made.title, made.runs_enabled) == ("acme", "Acme Inc.", True)
    assert made.maximum_execution_time_per_run.ToTimedelta() == timedelta(minutes=15)
    assert made.HasField("create_time")
    assert made.HasField("update_time")
    read = await context.client.GetOrganization(
        pb.GetOrganizationRequest(id=made.id), metadata=context.as_operator, timeout=TIMEOUT
    )
    assert read.organization == made


async def test_a_project_is_made_and_read(context: TenancyContext) -> None:
    owner = await context.organization()
    made = await context.project(owner.id, "shop")
    assert (made.slug, made.name, made.organization_id) == ("shop", "shop", owner.id)
    read = await context.client.GetProject(
        pb.GetProjectRequest(id=made.id.upper()), metadata=context.as_operator, timeout=TIMEOUT
    )
    assert read.project == made


async def test_an_environment_is_made_and_read(context: TenancyContext) -> None:
    project = await context.project()
    made = await context.environment(project.id, "live", PRODUCTION)
    assert (made.slug, made.type, made.project_id) == ("live", PRODUCTION, project.id)
    assert made.organization_id == project.organization_id
    assert len(made.shortcode) == 5
    read = await context.client.GetEnvironment(
        pb.GetEnvironmentRequest(id=made.id), metadata=context.as_operator, timeout=TIMEOUT
    )
    assert read.environment == made


@pytest.mark.parametrize("name", ["DEVELOPMENT", "STAGING", "PRODUCTION", "PREVIEW"])
async def test_every_type_of_environment_survives_the_way(
    context: TenancyContext, name: str
) -> None:
    value = environment_pb2.Environment.Type.Value(f"TYPE_{name}")
    assert (await context.environment(environment_type=value)).type == value


async def test_a_repeat_with_the_request_id_answers_the_same(context: TenancyContext) -> None:
    request = pb.CreateOrganizationRequest(slug="acme", request_id="r1")
    first = await context.client.CreateOrganization(
        request, metadata=context.as_operator, timeout=TIMEOUT
    )
    second = await context.client.CreateOrganization(
        request, metadata=context.as_operator, timeout=TIMEOUT
    )
    assert first == second
    request.slug = "other"
    with refusal(CODE.ALREADY_EXISTS) as refused:
        await context.client.CreateOrganization(
            request, metadata=context.as_operator, timeout=TIMEOUT
        )
    assert refused.reason == "REQUEST_ID_REUSED"
    assert dict(refused.info.metadata) == {"request_id": "r1"}
    # Another operator's request ids are others.
    other = bearer(await context.stored.add_operator("other", "tenancy:write"))
    made = await context.client.CreateOrganization(request, metadata=other, timeout=TIMEOUT)
    assert made.organization.slug == "other"


async def test_a_taken_slug_is_named(context: TenancyContext) -> None:
    project = await context.project((await context.organization("acme")).id, "shop")
    await context.environment(project.id, "dev")
    with refusal(CODE.ALREADY_EXISTS) as organization:
        await context.organization("acme")
    with refusal(CODE.ALREADY_EXISTS) as other:
        await context.project(slug="shop")
    with refusal(CODE.ALREADY_EXISTS) as environment:
        await context.environment(project.id, "dev")
    assert [
        (each.reason, each.info.domain, dict(each.info.metadata))
        for each in (organization, other, environment)
    ] == [
        ("ORGANIZATION_EXISTS", "tenancy.kongflow", {"slug": "acme"}),
        ("PROJECT_EXISTS", "tenancy.kongflow", {"slug": "shop"}),
        ("ENVIRONMENT_EXISTS", "tenancy.kongflow", {"slug": "dev"}),
    ]


async def test_what_is_not_there_is_named(context: TenancyContext) -> None:
    stranger = str(new_id())
    client, operator = context.client, context.as_operator
    with refusal(CODE.NOT_FOUND) as organization:
        await client.GetOrganization(
            pb.GetOrganizationRequest(id=stranger), metadata=operator, timeout=TIMEOUT
        )
    with refusal(CODE.NOT_FOUND) as updating:
        await updated(context, organization_pb2.Organization(id=stranger, title="x"), "title")
    with refusal(CODE.NOT_FOUND) as owner:
        await context.project(stranger)
    with refusal(CODE.NOT_FOUND) as project:
        await client.GetProject(
            pb.GetProjectRequest(id=stranger), metadata=operator, timeout=TIMEOUT
        )
    with refusal(CODE.NOT_FOUND) as place:
        await context.environment(stranger)
    with refusal(CODE.NOT_FOUND) as environment:
        await client.GetEnvironment(
            pb.GetEnvironmentRequest(id=stranger), metadata=operator, timeout=TIMEOUT
        )
    refusals = (organization, updating, owner, project, place, environment)
    assert [each.reason for each in refusals] == [
        *["ORGANIZATION_NOT_FOUND"] * 3,
        *["PROJECT_NOT_FOUND"] * 2,
        "ENVIRONMENT_NOT_FOUND",
    ]
    assert all(dict(each.info.metadata) == {"id": stranger} for each in refusals)


async def test_bad_fields_are_named(context: TenancyContext) -> None:
    client, operator = context.client, context.as_operator
    with refusal(CODE.INVALID_ARGUMENT) as no_slug:
        await client.CreateOrganization(
            pb.CreateOrganizationRequest(), metadata=operator, timeout=TIMEOUT
        )
    with refusal(CODE.INVALID_ARGUMENT) as title:
        await context.organization("acme", title="x" * 513)
    with refusal(CODE.INVALID_ARGUMENT) as nul:
        await context.organization("acme", title="a\x00b")
    with refusal(CODE.INVALID_ARGUMENT) as request_id:
        await context.organization("acme", request_id="r" * 129)
    with refusal(CODE.INVALID_ARGUMENT) as no_owner:
        await client.CreateProject(
            pb.CreateProjectRequest(slug="shop"), metadata=operator, timeout=TIMEOUT
        )
    with refusal(CODE.INVALID_ARGUMENT) as no_type:
        await client.CreateEnvironment(
            pb.CreateEnvironmentRequest(project_id=str(new_id()), slug="dev"),
            metadata=operator,
            timeout=TIMEOUT,
        )
    with refusal(CODE.INVALID_ARGUMENT) as no_id:
        await client.GetProject(pb.GetProjectRequest(id="shop"), metadata=operator, timeout=TIMEOUT)
    refusals = (no_slug, title, nul, request_id, no_owner, no_type, no_id)
    assert {each.reason for each in refusals} == {"FIELD_INVALID"}
    assert [list(each.fields) for each in refusals] == [
        ["slug"],
        ["title"],
        ["title"],
        ["request_id"],
        ["organization_id"],
        ["type"],
        ["id"],
    ]
    assert await context.stored.count("organizations") == 0


async def test_an_update_sets_what_the_mask_names(context: TenancyContext) -> None:
    made = await context.organization("acme", title="Acme")
    new = organization_pb2.Organization(id=made.id, slug="ignored", title="New")
    new.maximum_execution_time_per_run.FromTimedelta(timedelta(hours=2))
    titled = await updated(context, new, "title")
    assert (titled.title, titled.slug, titled.runs_enabled) == ("New", "acme", True)
    assert titled.maximum_execution_time_per_run == made.maximum_execution_time_per_run
    stopped = await updated(context, new, "runs_enabled")
    assert (stopped.title, stopped.runs_enabled) == ("New", False)
    limited = await updated(context, new, "maximum_execution_time_per_run", "title")
    assert limited.maximum_execution_time_per_run.ToTimedelta() == timedelta(hours=2)
    assert limited.runs_enabled is False


async def test_an_update_without_a_mask_sets_everything(context: TenancyContext) -> None:
    made = await context.organization("acme", title="Acme")
    new = organization_pb2.Organization(id=made.id, title="New")
    new.maximum_execution_time_per_run.FromTimedelta(timedelta(days=1))
    changed = await updated(context, new)
    assert (changed.title, changed.runs_enabled) == ("New", False)
    assert changed.maximum_execution_time_per_run.ToTimedelta() == timedelta(days=1)


async def test_an_update_refuses_what_it_cannot_set(context: TenancyContext) -> None:
    made = await context.organization("acme", title="Acme")
    empty = organization_pb2.Organization(id=made.id)
    negative = organization_pb2.Organization(id=made.id)
    negative.maximum_execution_time_per_run.FromTimedelta(timedelta(seconds=-1))
    long = organization_pb2.Organization(id=made.id)
    long.maximum_execution_time_per_run.FromTimedelta(timedelta(days=1, microseconds=1))
    time = "maximum_execution_time_per_run"
    refused: list[list[str]] = []
    for organization, paths in (
        (empty, ("slug",)),
        (empty, ("title", "organization.title")),
        (empty, ("*",)),
        (empty, ("title",)),
        (empty, (time,)),
        (negative, (time,)),
        (long, (time,)),
        (organization_pb2.Organization(title="x"), ("title",)),
        (empty, ()),
    ):
        with refusal(CODE.INVALID_ARGUMENT) as refusal_:
            await updated(context, organization, *paths)
        refused.append(list(refusal_.fields))
    with refusal(CODE.INVALID_ARGUMENT) as missing:
        await context.client.UpdateOrganization(
            pb.UpdateOrganizationRequest(), metadata=context.as_operator, timeout=TIMEOUT
        )
    assert refused == [
        ["update_mask.paths[0]"],
        ["update_mask.paths[1]"],
        ["update_mask.paths[0]"],
        ["organization.title"],
        [f"organization.{time}"],
        [f"organization.{time}"],
        [f"organization.{time}"],
        ["organization.id"],
        ["organization.title"],
    ]
    assert list(missing.fields) == ["organization"]
    read = await context.client.GetOrganization(
        pb.GetOrganizationRequest(id=made.id), metadata=context.as_operator, timeout=TIMEOUT
    )
    assert read.organization == made


async def test_the_audit_names_the_operator_and_the_trace(context: TenancyContext) -> None:
    writer = await context.stored.add_operator("wanda", "tenancy:write")
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    made = await context.client.CreateOrganization(
        pb.CreateOrganizationRequest(slug="acme"),
        metadata=(*bearer(writer), ("traceparent", f"00-{trace_id}-b7ad6b7169203331-01")),
        timeout=TIMEOUT,
    )
    [entry] = await context.stored.audit()
    assert (entry.operator_name, entry.action) == ("wanda", "CreateOrganization")
    assert (entry.subject, entry.trace_id) == (f"organizations/{made.organization.id}", trace_id)
