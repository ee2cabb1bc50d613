"""`kongflow projects`: projects of an organization, which own environments."""

from typing import Annotated

import typer

from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow.tenancy.v1.project_pb2 import Project
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator, pages
from kongflow_cli.client.session import Session
from kongflow_cli.input.repeats import RequestId, request_id_and_hint
from kongflow_cli.output.cells import Column, time_of

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Projects, which own environments."
)

_SESSION = as_operator("tenancy")

_COLUMNS: list[Column[Project]] = [
    Column("Id", lambda project: project.id),
    Column("Slug", lambda project: project.slug),
    Column("Name", lambda project: project.name),
    Column("Created", lambda project: time_of(project, "create_time")),
    Column("Organization", lambda project: project.organization_id),
    Column("Updated", lambda project: time_of(project, "update_time"), wide=True),
]


@app.command("create")
@with_options(session=_SESSION)
def create_project(
    session: Session,
    slug: Annotated[
        str, typer.Argument(help="Its short name: lower-case letters, digits, hyphens.")
    ],
    organization: Annotated[
        str, typer.Option("--org", metavar="ID", help="Id of the organization it belongs to.")
    ],
    name: Annotated[str, typer.Option(help="Its name for people.", show_default="SLUG")] = "",
    request_id: RequestId = None,
) -> None:
    """Create a project."""
    request_id, repeat = request_id_and_hint(request_id)
    response = session.call(
        TenancyServiceStub(session.channel).CreateProject,
        tenancy_service_pb2.CreateProjectRequest(
            organization_id=organization, slug=slug, name=name, request_id=request_id
        ),
        repeat=repeat,
    )
    session.printer.resource(response.project, _COLUMNS)


@app.command("get")
@with_options(session=_SESSION)
def get_project(
    session: Session,
    project_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the project.")],
) -> None:
    """Show a project."""
    response = session.call(
        TenancyServiceStub(session.channel).GetProject,
        tenancy_service_pb2.GetProjectRequest(id=project_id),
    )
    session.printer.resource(response.project, _COLUMNS)


@app.command("delete")
@with_options(session=_SESSION)
def delete_project(
    session: Session,
    project_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the project.")],
) -> None:
    """Delete a project for good, with its environments and all that is in them."""
    response = session.call(
        TenancyServiceStub(session.channel).DeleteProject,
        tenancy_service_pb2.DeleteProjectRequest(id=project_id),
        repeat="Whether it is deleted is not known: see kongflow projects get.",
    )
    count = len(response.environment_ids)
    session.printer.remark(f"Deleted project {project_id} and its environments: {count}.")


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_projects(
    session: Session,
    page: PageOptions,
    organization: Annotated[
        str, typer.Option("--org", metavar="ID", help="Only of this organization.")
    ] = "",
) -> None:
    """List projects, the newest first."""
    stub = TenancyServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Project], str]:
        request = tenancy_service_pb2.ListProjectsRequest(
            page_size=page_size, page_token=page_token, organization_id=organization
        )
        response = session.call(stub.ListProjects, request)
        return list(response.projects), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No projects.")
