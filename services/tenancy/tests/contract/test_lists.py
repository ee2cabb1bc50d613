"""Lists page from the newest to the oldest, and a page token serves only its own list."""

from collections.abc import Awaitable, Callable, Sequence

import grpc
import pytest

from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.testing.refusals import refusal
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext

Page = Callable[[int, str], Awaitable[tuple[Sequence[str], str]]]


def organizations(context: TenancyContext) -> Page:
    async def page(size: int, token: str) -> tuple[Sequence[str], str]:
        answer = await context.client.ListOrganizations(
            pb.ListOrganizationsRequest(page_size=size, page_token=token),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
        return [each.id for each in answer.organizations], answer.next_page_token

    return page


def projects(context: TenancyContext, organization_id: str = "") -> Page:
    async def page(size: int, token: str) -> tuple[Sequence[str], str]:
        answer = await context.client.ListProjects(
            pb.ListProjectsRequest(
                page_size=size, page_token=token, organization_id=organization_id
            ),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
        return [each.id for each in answer.projects], answer.next_page_token

    return page


def environments(context: TenancyContext, project_id: str = "") -> Page:
    async def page(size: int, token: str) -> tuple[Sequence[str], str]:
        answer = await context.client.ListEnvironments(
            pb.ListEnvironmentsRequest(page_size=size, page_token=token, project_id=project_id),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
        return [each.id for each in answer.environments], answer.next_page_token

    return page


def keys(context: TenancyContext, environment_id: str) -> Page:
    async def page(size: int, token: str) -> tuple[Sequence[str], str]:
        answer = await context.client.ListEnvironmentKeys(
            pb.ListEnvironmentKeysRequest(
                page_size=size, page_token=token, environment_id=environment_id
            ),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
        return [each.id for each in answer.environment_keys], answer.next_page_token

    return page


async def pages(page: Page, size: int) -> list[list[str]]:
    """All pages of a list."""
    shown: list[list[str]] = []
    token = ""
    while True:
        ids, token = await page(size, token)
        shown.append(list(ids))
        if not token:
            return shown


def in_pages(made: Sequence[str], size: int) -> list[list[str]]:
    """What a list that holds these must show."""
    newest_first = list(reversed(made))
    return [newest_first[start : start + size] for start in range(0, len(made), size)]


async def test_organizations_page(context: TenancyContext) -> None:
    made = [(await context.organization()).id for _ in range(5)]
    assert await pages(organizations(context), 2) == in_pages(made, 2)
    assert await pages(organizations(context), 5) == [list(reversed(made))]
    assert await pages(organizations(context), 0) == [list(reversed(made))]


async def test_projects_page_of_all_organizations_or_of_one(context: TenancyContext) -> None:
    owner = (await context.organization()).id
    own = [(await context.project(owner)).id for _ in range(3)]
    other = [(await context.project()).id]
    assert await pages(projects(context), 3) == in_pages(own + other, 3)
    assert await pages(projects(context, owner), 2) == in_pages(own, 2)


async def test_environments_page_of_all_projects_or_of_one(context: TenancyContext) -> None:
    project = (await context.project()).id
    own = [(await context.environment(project, f"e{n}")).id for n in range(3)]
    other = [(await context.environment()).id]
    assert await pages(environments(context), 2) == in_pages(own + other, 2)
    assert await pages(environments(context, project), 2) == in_pages(own, 2)


async def test_keys_page_within_their_environment(context: TenancyContext) -> None:
    environment = (await context.environment()).id
    await context.key()
    made = [(await context.key(environment)).environment_key.id for _ in range(4)]
    assert await pages(keys(context, environment), 3) == in_pages(made, 3)


async def test_a_token_does_not_mind_how_an_id_is_written(context: TenancyContext) -> None:
    owner = (await context.organization()).id
    made = [(await context.project(owner)).id for _ in range(2)]
    _, token = await projects(context, owner)(1, "")
    assert await projects(context, owner.upper())(1, token) == ([made[0]], "")


async def test_an_empty_list_has_one_empty_page(context: TenancyContext) -> None:
    assert await pages(organizations(context), 10) == [[]]
    assert await pages(environments(context), 10) == [[]]


async def test_another_lists_token_is_refused(context: TenancyContext) -> None:
    owner, stranger = (await context.organization()).id, (await context.organization()).id
    for _ in range(2):
        await context.project(owner)
    _, token = await projects(context, owner)(1, "")
    assert token
    for page in (
        projects(context, stranger),
        projects(context),
        organizations(context),
        environments(context),
    ):
        with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
            await page(1, token)
        assert list(refused.fields) == ["page_token"]


@pytest.mark.parametrize(
    ("size", "token", "field"), [(-1, "", "page_size"), (1, "x", "page_token")]
)
async def test_bad_page_fields_are_named(
    context: TenancyContext, size: int, token: str, field: str
) -> None:
    environment = (await context.environment()).id
    for page in (
        organizations(context),
        projects(context),
        environments(context),
        keys(context, environment),
    ):
        with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
            await page(size, token)
        assert list(refused.fields) == [field]
