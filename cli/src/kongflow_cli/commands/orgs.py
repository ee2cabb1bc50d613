"""`kongflow orgs`: organizations, which own projects."""

from datetime import timedelta
from typing import Annotated

import typer

from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow.tenancy.v1.organization_pb2 import Organization
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator, pages
from kongflow_cli.client.session import Session
from kongflow_cli.errors import CliError
from kongflow_cli.input.repeats import RequestId, request_id_and_hint
from kongflow_cli.input.time_text import parse_duration, to_duration
from kongflow_cli.output.cells import Cell, Column, time_of, yes_or_no

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Organizations, which own projects."
)

_SESSION = as_operator("tenancy")


def _execution_time(organization: Organization) -> Cell:
    if not organization.HasField("maximum_execution_time_per_run"):
        return None
    return f"{organization.maximum_execution_time_per_run.seconds} s"


_COLUMNS: list[Column[Organization]] = [
    Column("Id", lambda organization: organization.id),
    Column("Slug", lambda organization: organization.slug),
    Column("Title", lambda organization: organization.title),
    Column("Runs", lambda organization: yes_or_no(organization.runs_enabled)),
    Column("Created", lambda organization: time_of(organization, "create_time")),
    Column("Time per run", _execution_time, wide=True),
    Column("Updated", lambda organization: time_of(organization, "update_time"), wide=True),
]

_OrganizationId = Annotated[str, typer.Argument(metavar="ID", help="Id of the organization.")]


@app.command("create")
@with_options(session=_SESSION)
def create_organization(
    session: Session,
    slug: Annotated[
        str, typer.Argument(help="Its short name: lower-case letters, digits, hyphens.")
    ],
    title: Annotated[str, typer.Option(help="Its name for people.", show_default="SLUG")] = "",
    request_id: RequestId = None,
) -> None:
    """Create an organization."""
    request_id, repeat = request_id_and_hint(request_id)
    response = session.call(
        TenancyServiceStub(session.channel).CreateOrganization,
        tenancy_service_pb2.CreateOrganizationRequest(
            slug=slug, title=title, request_id=request_id
        ),
        repeat=repeat,
    )
    session.printer.resource(response.organization, _COLUMNS)


@app.command("get")
@with_options(session=_SESSION)
def get_organization(session: Session, organization_id: _OrganizationId) -> None:
    """Show an organization."""
    response = session.call(
        TenancyServiceStub(session.channel).GetOrganization,
        tenancy_service_pb2.GetOrganizationRequest(id=organization_id),
    )
    session.printer.resource(response.organization, _COLUMNS)


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_organizations(session: Session, page: PageOptions) -> None:
    """List organizations, the newest first."""
    stub = TenancyServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Organization], str]:
        request = tenancy_service_pb2.ListOrganizationsRequest(
            page_size=page_size, page_token=page_token
        )
        response = session.call(stub.ListOrganizations, request)
        return list(response.organizations), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No organizations.")


@app.command("update")
@with_options(session=_SESSION)
def update_organization(
    session: Session,
    organization_id: _OrganizationId,
    title: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    runs_enabled: Annotated[bool | None, typer.Option(help="Whether its jobs may run.")] = None,
    max_execution_time: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_duration, metavar="DURATION", help="How long one run may execute in all."
        ),
    ] = None,
) -> None:
    """Change an organization; what is left out stays as it is."""
    organization = Organization(id=organization_id)
    request = tenancy_service_pb2.UpdateOrganizationRequest(organization=organization)
    if title is not None:
        request.organization.title = title
        request.update_mask.paths.append("title")
    if runs_enabled is not None:
        request.organization.runs_enabled = runs_enabled
        request.update_mask.paths.append("runs_enabled")
    if max_execution_time is not None:
        request.organization.maximum_execution_time_per_run.CopyFrom(
            to_duration(max_execution_time)
        )
        request.update_mask.paths.append("maximum_execution_time_per_run")
    if not request.update_mask.paths:
        raise CliError(
            "Nothing to change: give --title, --runs-enabled or --max-execution-time.", USAGE
        )
    response = session.call(
        TenancyServiceStub(session.channel).UpdateOrganization,
        request,
        repeat="Whether it was changed is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.organization, _COLUMNS)
