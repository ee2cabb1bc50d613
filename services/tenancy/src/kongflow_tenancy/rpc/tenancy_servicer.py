"""Answers operators: organizations, projects, environments and keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_common.rpc.field_parsing import (
    optional_id,
    optional_text,
    required_enum,
    required_id,
    required_message,
)
from kongflow_common.rpc.paging import PageCursor, PageRequest, page_request
from kongflow_common.rpc.timestamps import from_duration, from_timestamp
from kongflow_tenancy.application.create_environment import CreateEnvironment
from kongflow_tenancy.application.create_environment_key import CreateEnvironmentKey
from kongflow_tenancy.application.create_organization import CreateOrganization
from kongflow_tenancy.application.create_project import CreateProject
from kongflow_tenancy.application.deletions import DeleteEnvironment, DeleteProject
from kongflow_tenancy.application.ports import (
    NewEnvironment,
    NewOrganization,
    NewProject,
    OrganizationChange,
)
from kongflow_tenancy.application.queries import TenancyQueries
from kongflow_tenancy.application.revoke_environment_key import RevokeEnvironmentKey
from kongflow_tenancy.application.rotate_environment_key import RotateEnvironmentKey
from kongflow_tenancy.application.update_organization import UpdateOrganization
from kongflow_tenancy.domain.organization import LONGEST_MAXIMUM_EXECUTION_TIME
from kongflow_tenancy.domain.slug import check_slug
from kongflow_tenancy.rpc import mapping

LONGEST_OVERLAP = timedelta(days=30)
CHANGEABLE = ("title", "runs_enabled", "maximum_execution_time_per_run")


class _Item(Protocol):
    @property
    def id(self) -> UUID: ...

    @property
    def created_at(self) -> datetime: ...


_ItemT = TypeVar("_ItemT", bound=_Item)


@dataclass(frozen=True, slots=True)
class DeletionUseCases:
    """What deletes."""

    delete_environment: DeleteEnvironment
    delete_project: DeleteProject


@dataclass(frozen=True, slots=True)
class TenancyUseCases:
    """What the servicer calls."""

    create_organization: CreateOrganization
    update_organization: UpdateOrganization
    create_project: CreateProject
    create_environment: CreateEnvironment
    create_key: CreateEnvironmentKey
    rotate_key: RotateEnvironmentKey
    revoke_key: RevokeEnvironmentKey
    queries: TenancyQueries
    new_shortcode: Callable[[], str]


class TenancyServicer:
    """kongflow.tenancy.v1.TenancyService."""

    def __init__(self, use_cases: TenancyUseCases, deletions: DeletionUseCases) -> None:
        self._use = use_cases
        self._delete = deletions

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, _context: object
    ) -> pb.CreateOrganizationResponse:
        """Creates an organization."""
        slug = check_slug(request.slug)
        created = await self._use.create_organization(
            NewOrganization(new_id(), slug, optional_text(request.title, "title") or slug),
            mapping.write_of(request, request.request_id),
        )
        return pb.CreateOrganizationResponse(organization=mapping.organization(created))

    async def GetOrganization(
        self, request: pb.GetOrganizationRequest, _context: object
    ) -> pb.GetOrganizationResponse:
        """Gets an organization."""
        found = await self._use.queries.organization(required_id(request.id, "id"))
        return pb.GetOrganizationResponse(organization=mapping.organization(found))

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, _context: object
    ) -> pb.ListOrganizationsResponse:
        """Lists organizations."""
        page = page_request(
            method="ListOrganizations", page_size=request.page_size, page_token=request.page_token
        )
        found = await self._use.queries.organizations(_before(page), page.size + 1)
        shown, token = _page_of(found, page)
        return pb.ListOrganizationsResponse(
            organizations=map(mapping.organization, shown), next_page_token=token
        )

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, _context: object
    ) -> pb.UpdateOrganizationResponse:
        """Updates an organization."""
        required_message(request, "organization")
        organization_id = required_id(request.organization.id, "organization.id")
        updated = await self._use.update_organization(
            organization_id, _change(request), mapping.write_of(request, "")
        )
        return pb.UpdateOrganizationResponse(organization=mapping.organization(updated))

    async def CreateProject(
        self, request: pb.CreateProjectRequest, _context: object
    ) -> pb.CreateProjectResponse:
        """Creates a project."""
        organization_id = required_id(request.organization_id, "organization_id")
        slug = check_slug(request.slug)
        name = optional_text(request.name, "name") or slug
        created = await self._use.create_project(
            NewProject(new_id(), slug, name, organization_id),
            mapping.write_of(request, request.request_id),
        )
        return pb.CreateProjectResponse(project=mapping.project(created))

    async def GetProject(
        self, request: pb.GetProjectRequest, _context: object
    ) -> pb.GetProjectResponse:
        """Gets a project."""
        found = await self._use.queries.project(required_id(request.id, "id"))
        return pb.GetProjectResponse(project=mapping.project(found))

    async def ListProjects(
        self, request: pb.ListProjectsRequest, _context: object
    ) -> pb.ListProjectsResponse:
        """Lists projects."""
        organization_id = optional_id(request.organization_id, "organization_id")
        page = page_request(
            method="ListProjects",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=str(organization_id or ""),
        )
        found = await self._use.queries.projects(organization_id, _before(page), page.size + 1)
        shown, token = _page_of(found, page)
        return pb.ListProjectsResponse(projects=map(mapping.project, shown), next_page_token=token)

    async def CreateEnvironment(
        self, request: pb.CreateEnvironmentRequest, _context: object
    ) -> pb.CreateEnvironmentResponse:
        """Creates an environment."""
        new = NewEnvironment(
            id=new_id(),
            project_id=required_id(request.project_id, "project_id"),
            slug=check_slug(request.slug),
            type=required_enum(request.type, "type", mapping.ENVIRONMENT_TYPES),
            shortcode=self._use.new_shortcode(),
        )
        created = await self._use.create_environment(
            new, mapping.write_of(request, request.request_id)
        )
        return pb.CreateEnvironmentResponse(environment=mapping.environment(created))

    async def GetEnvironment(
        self, request: pb.GetEnvironmentRequest, _context: object
    ) -> pb.GetEnvironmentResponse:
        """Gets an environment."""
        found = await self._use.queries.environment(required_id(request.id, "id"))
        return pb.GetEnvironmentResponse(environment=mapping.environment(found))

    async def ListEnvironments(
        self, request: pb.ListEnvironmentsRequest, _context: object
    ) -> pb.ListEnvironmentsResponse:
        """Lists environments."""
        project_id = optional_id(request.project_id, "project_id")
        page = page_request(
            method="ListEnvironments",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=str(project_id or ""),
        )
        found = await self._use.queries.environments(project_id, _before(page), page.size + 1)
        shown, token = _page_of(found, page)
        return pb.ListEnvironmentsResponse(
            environments=map(mapping.environment, shown), next_page_token=token
        )

    async def DeleteEnvironment(
        self, request: pb.DeleteEnvironmentRequest, _context: object
    ) -> pb.DeleteEnvironmentResponse:
        """Deletes an environment."""
        await self._delete.delete_environment(
            required_id(request.id, "id"), mapping.write_of(request, "")
        )
        return pb.DeleteEnvironmentResponse()

    async def DeleteProject(
        self, request: pb.DeleteProjectRequest, _context: object
    ) -> pb.DeleteProjectResponse:
        """Deletes a project and its environments."""
        environment_ids = await self._delete.delete_project(
            required_id(request.id, "id"), mapping.write_of(request, "")
        )
        return pb.DeleteProjectResponse(environment_ids=map(str, environment_ids))

    async def CreateEnvironmentKey(
        self, request: pb.CreateEnvironmentKeyRequest, _context: object
    ) -> pb.CreateEnvironmentKeyResponse:
        """Creates a key and answers with its text, once."""
        expires_at = None
        if request.HasField("expire_time"):
            expires_at = from_timestamp(request.expire_time, "expire_time")
        key, text = await self._use.create_key(
            required_id(request.environment_id, "environment_id"),
            required_enum(request.kind, "kind", mapping.KEY_KINDS),
            expires_at,
            mapping.write_of(request, request.request_id),
        )
        return pb.CreateEnvironmentKeyResponse(
            environment_key=mapping.environment_key(key), key_text=text
        )

    async def ListEnvironmentKeys(
        self, request: pb.ListEnvironmentKeysRequest, _context: object
    ) -> pb.ListEnvironmentKeysResponse:
        """Lists the keys of an environment, without their texts."""
        environment_id = required_id(request.environment_id, "environment_id")
        page = page_request(
            method="ListEnvironmentKeys",
            page_size=request.page_size,
            page_token=request.page_token,
            environment_id=environment_id,
        )
        found = await self._use.queries.keys(environment_id, _before(page), page.size + 1)
        shown, token = _page_of(found, page)
        return pb.ListEnvironmentKeysResponse(
            environment_keys=map(mapping.environment_key, shown), next_page_token=token
        )

    async def RotateEnvironmentKey(
        self, request: pb.RotateEnvironmentKeyRequest, _context: object
    ) -> pb.RotateEnvironmentKeyResponse:
        """Creates a new key in the place of another."""
        overlap = from_duration(request.overlap, "overlap", at_most=LONGEST_OVERLAP)
        key, text, replaced = await self._use.rotate_key(
            required_id(request.id, "id"), overlap, mapping.write_of(request, request.request_id)
        )
        return pb.RotateEnvironmentKeyResponse(
            environment_key=mapping.environment_key(key),
            key_text=text,
            replaced_key=mapping.environment_key(replaced),
        )

    async def RevokeEnvironmentKey(
        self, request: pb.RevokeEnvironmentKeyRequest, _context: object
    ) -> pb.RevokeEnvironmentKeyResponse:
        """Revokes a key."""
        key = await self._use.revoke_key(
            required_id(request.id, "id"), mapping.write_of(request, "")
        )
        return pb.RevokeEnvironmentKeyResponse(environment_key=mapping.environment_key(key))


def _change(request: pb.UpdateOrganizationRequest) -> OrganizationChange:
    paths = list(request.update_mask.paths) or CHANGEABLE
    for index, path in enumerate(paths):
        if path not in CHANGEABLE:
            raise InvalidField(f"update_mask.paths[{index}]", f"is none of {', '.join(CHANGEABLE)}")
    new = request.organization
    title = optional_text(new.title, "organization.title") if "title" in paths else None
    if "title" in paths and title is None:
        raise InvalidField("organization.title", "is required")
    execution_time = None
    if "maximum_execution_time_per_run" in paths:
        execution_time = from_duration(
            new.maximum_execution_time_per_run,
            "organization.maximum_execution_time_per_run",
            at_least=timedelta(seconds=1),
            at_most=LONGEST_MAXIMUM_EXECUTION_TIME,
        )
    return OrganizationChange(
        title=title,
        runs_enabled=new.runs_enabled if "runs_enabled" in paths else None,
        maximum_execution_time_per_run=execution_time,
    )


def _before(page: PageRequest) -> UUID | None:
    return page.after.id if page.after else None


def _page_of(found: Sequence[_ItemT], page: PageRequest) -> tuple[Sequence[_ItemT], str]:
    """The items of the page, and the token of the next: one more was asked for than is shown."""
    if len(found) <= page.size:
        return found, ""
    shown = found[: page.size]
    return shown, page.next_page_token(PageCursor(shown[-1].created_at, shown[-1].id))
