"""`kongflow runs`: shows the runs of jobs."""

from datetime import datetime
from typing import Annotated

import typer

from kongflow.runs.v1 import runs_service_pb2
from kongflow.runs.v1.run_pb2 import Run
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment
from kongflow_cli.client.session import Session
from kongflow_cli.input.filter_text import all_of, is_after, text_is, text_is_one_of, truth_is
from kongflow_cli.input.states import RunState
from kongflow_cli.input.time_text import parse_since
from kongflow_cli.output.cells import Cell, Column, time_of, word, yes_or_no

app = typer.Typer(no_args_is_help=True, add_completion=False, help="See the runs of jobs.")

_SESSION = in_environment("runs")


def _version(run: Run) -> Cell:
    return run.version or run.version_alias


_COLUMNS: list[Column[Run]] = [
    Column("Id", lambda run: run.id),
    Column("State", lambda run: word(Run.State.Name, run.state, "STATE_")),
    Column("Number", lambda run: str(run.number) if run.number else ""),
    Column("Created", lambda run: time_of(run, "create_time")),
    Column("Job", lambda run: run.job_id),
    Column("Version", _version),
    Column("Event record", lambda run: run.event_record_id, wide=True),
    Column("Dispatcher", lambda run: run.dispatcher_id, wide=True),
    Column("Queued", lambda run: time_of(run, "queue_time"), wide=True),
    Column("Started", lambda run: time_of(run, "start_time"), wide=True),
    Column("Completed", lambda run: time_of(run, "complete_time"), wide=True),
    Column("Test", lambda run: yes_or_no(run.test), wide=True),
]


@app.command("get")
@with_options(session=_SESSION)
def get_run(
    session: Session, run_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the run.")]
) -> None:
    """Show a run."""
    response = session.call(
        RunsServiceStub(session.channel).GetRun, runs_service_pb2.GetRunRequest(id=run_id)
    )
    session.printer.resource(response.run, _COLUMNS)


@app.command("list")
@with_options(session=_SESSION, page=filtered_pages)
def list_runs(
    session: Session,
    page: PageOptions,
    *,
    state: Annotated[
        list[RunState] | None,
        typer.Option(case_sensitive=False, help="Only in this state; may be repeated."),
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only of the job with this id.")] = None,
    event: Annotated[str | None, typer.Option(help="Only for this event record.")] = None,
    dispatcher: Annotated[str | None, typer.Option(help="Only by this dispatcher.")] = None,
    test: Annotated[bool | None, typer.Option(help="Only tests, or none.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only newer ones: 2h, or a time."),
    ] = None,
) -> None:
    """List runs, the newest first."""
    filter_text = all_of(
        text_is_one_of("state", (each.name for each in state or ())),
        text_is("job_id", job),
        text_is("event_record_id", event),
        text_is("dispatcher_id", dispatcher),
        truth_is("test", test),
        is_after("create_time", since),
        page.filter,
    )
    stub = RunsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Run], str]:
        request = runs_service_pb2.ListRunsRequest(
            page_size=page_size, page_token=page_token, filter=filter_text
        )
        response = session.call(stub.ListRuns, request)
        return list(response.runs), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No runs.")
