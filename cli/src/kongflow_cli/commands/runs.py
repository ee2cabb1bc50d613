"""`kongflow runs`: shows the runs of jobs, and cancels them."""

from datetime import datetime
from typing import Annotated

import typer

from kongflow.runs.v1 import runs_service_pb2
from kongflow.runs.v1.run_pb2 import Run
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment
from kongflow_cli.client.run_end import RUN_COLUMNS, RUN_DETAILS, wait_for_run
from kongflow_cli.client.session import Session
from kongflow_cli.input.filter_text import all_of, is_after, text_is, text_is_one_of, truth_is
from kongflow_cli.input.states import RunState
from kongflow_cli.input.time_text import parse_since

app = typer.Typer(no_args_is_help=True, add_completion=False, help="See the runs of jobs.")

_SESSION = in_environment("runs")


@app.command("get")
@with_options(session=_SESSION)
def get_run(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the run.")],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
) -> None:
    """Show a run with its output, or what went wrong."""
    session.printer.resource(wait_for_run(session, run_id, wait=wait), RUN_DETAILS)


@app.command("cancel")
@with_options(session=_SESSION)
def cancel_run(
    session: Session, run_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the run.")]
) -> None:
    """End a run before it has ended; one that has stays as it is."""
    response = session.call(
        RunsServiceStub(session.channel).CancelRun,
        runs_service_pb2.CancelRunRequest(id=run_id),
        repeat="Whether it was cancelled is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.run, RUN_DETAILS)


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
    job: Annotated[str | None, typer.Option(help="Only of the job with this slug or id.")] = None,
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
        text_is("job_id" if _is_id(job) else "job_slug", job),
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

    print_list(session.printer, page, fetch, RUN_COLUMNS, "No runs.")


def _is_id(job: str | None) -> bool:
    return job is not None and len(job) == 36 and job.count("-") == 4
