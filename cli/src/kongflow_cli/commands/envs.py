"""`kongflow envs`: environments of a project, in which events, jobs and runs live."""

from typing import Annotated

import typer

from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow.tenancy.v1.environment_pb2 import Environment
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator, pages
from kongflow_cli.client.session import Session
from kongflow_cli.input.repeats import RequestId, request_id_and_hint
from kongflow_cli.input.states import EnvironmentType
from kongflow_cli.output.cells import Column, time_of, word, yes_or_no

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Environments, where events and runs live."
)

_SESSION = as_operator("tenancy")

_COLUMNS: list[Column[Environment]] = [
    Column("Id", lambda environment: environment.id),
    Column("Slug", lambda environment: environment.slug),
    Column("Type", lambda environment: word(Environment.Type.Name, environment.type, "TYPE_")),
    Column("Created", lambda environment: time_of(environment, "create_time")),
    Column("Project", lambda environment: environment.project_id),
    Column("Shortcode", lambda environment: environment.shortcode, wide=True),
    Column("Organization", lambda environment: environment.organization_id, wide=True),
    Column(
        "Auto-enable sources",
        lambda environment: yes_or_no(environment.auto_enable_internal_sources),
        wide=True,
    ),
    Column("Updated", lambda environment: time_of(environment, "update_time"), wide=True),
]


@app.command("create")
@with_options(session=_SESSION)
def create_environment(
    session: Session,
    slug: Annotated[
        str, typer.Argument(help="Its short name: lower-case letters, digits, hyphens.")
    ],
    project: Annotated[
        str, typer.Option("--project", metavar="ID", help="Id of the project it belongs to.")
    ],
    environment_type: Annotated[
        EnvironmentType, typer.Option("--type", case_sensitive=False, help="What it is for.")
    ],
    request_id: RequestId = None,
) -> None:
    """Create an environment."""
    request_id, repeat = request_id_and_hint(request_id)
    response = session.call(
        TenancyServiceStub(session.channel).CreateEnvironment,
        tenancy_service_pb2.CreateEnvironmentRequest(
            project_id=project,
            slug=slug,
            type=Environment.Type.Value(f"TYPE_{environment_type.name}"),
            request_id=request_id,
        ),
        repeat=repeat,
    )
    session.printer.resource(response.environment, _COLUMNS)


@app.command("get")
@with_options(session=_SESSION)
def get_environment(
    session: Session,
    environment_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the environment.")],
) -> None:
    """Show an environment."""
    response = session.call(
        TenancyServiceStub(session.channel).GetEnvironment,
        tenancy_service_pb2.GetEnvironmentRequest(id=environment_id),
    )
    session.printer.resource(response.environment, _COLUMNS)


@app.command("delete")
@with_options(session=_SESSION)
def delete_environment(
    session: Session,
    environment_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the environment.")],
) -> None:
    """Delete an environment for good, and all that is in it."""
    session.call(
        TenancyServiceStub(session.channel).DeleteEnvironment,
        tenancy_service_pb2.DeleteEnvironmentRequest(id=environment_id),
        repeat="Whether it is deleted is not known: see kongflow envs get.",
    )
    session.printer.remark(f"Deleted environment {environment_id}.")


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_environments(
    session: Session,
    page: PageOptions,
    project: Annotated[str, typer.Option(metavar="ID", help="Only of this project.")] = "",
) -> None:
    """List environments, the newest first."""
    stub = TenancyServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Environment], str]:
        request = tenancy_service_pb2.ListEnvironmentsRequest(
            page_size=page_size, page_token=page_token, project_id=project
        )
        response = session.call(stub.ListEnvironments, request)
        return list(response.environments), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No environments.")
