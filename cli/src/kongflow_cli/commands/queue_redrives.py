"""`kongflow queue jobs redrive`: has dead letters run again, a few each second."""

from datetime import datetime
from typing import Annotated

import typer

from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.redrive_pb2 import Redrive
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import as_operator_of_any_environment
from kongflow_cli.client.reason import Reason
from kongflow_cli.client.session import Session
from kongflow_cli.commands.queue_jobs import COLUMNS
from kongflow_cli.errors import CliError
from kongflow_cli.input.filter_text import all_of, is_after, text_is
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.time_text import parse_since
from kongflow_cli.output.cells import Cell, Column, time_of, word
from kongflow_cli.output.proto_json import to_json

_SESSION = as_operator_of_any_environment("workerqueue")
_RedriveId = Annotated[str, typer.Argument(metavar="ID", help="Id of the redrive.")]


def _progress(redrive: Redrive) -> Cell:
    skipped = f", {redrive.skipped_count} skipped" if redrive.skipped_count else ""
    return f"{redrive.redriven_count}/{redrive.total_count}{skipped}"


_DETAILS: list[Column[Redrive]] = [
    Column("Id", lambda redrive: redrive.id),
    Column("State", lambda redrive: word(Redrive.State.Name, redrive.state, "STATE_")),
    Column("Jobs", _progress),
    Column("Rate", lambda redrive: f"{redrive.jobs_per_second}/s"),
    Column("Filter", lambda redrive: redrive.filter),
    Column("Environment", lambda redrive: redrive.environment_id),
    Column("Began", lambda redrive: time_of(redrive, "create_time")),
    Column("Ended", lambda redrive: time_of(redrive, "end_time")),
    Column("By", lambda redrive: redrive.caller_name),
    Column("Reason", lambda redrive: redrive.reason),
]


@with_options(session=_SESSION)
def redrive_jobs(
    session: Session,
    *,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    queue_name: Annotated[
        str | None, typer.Option("--queue", help="Only those of this queue.")
    ] = None,
    error_code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Only those whose newest error is this, e.g. INTERNAL."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_since, metavar="TIME", help="Only those that ended later: 2h, or a time."
        ),
    ] = None,
    filter_text: Annotated[
        str | None,
        typer.Option(
            "--filter", callback=not_empty, metavar="EXPRESSION", help="Only those that match."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All dead letters, where nothing says which.")
    ] = False,
    rate: Annotated[int, typer.Option(min=1, max=1_000, help="How many each second.")] = 100,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell how many there are, and show some.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Make dead letters (discarded jobs) run again with their attempts anew."""
    condition = all_of(
        text_is("kind", kind),
        text_is("queue", queue_name),
        text_is("error_code", error_code),
        is_after("end_time", since),
        filter_text or "",
    )
    if bool(condition) == everything and not dry_run:
        raise CliError("Either options say which run again, or --all.", USAGE)
    response = session.call(
        WorkerQueueServiceStub(session.channel).RedriveQueuedJobs,
        workerqueue_service_pb2.RedriveQueuedJobsRequest(
            filter=condition,
            jobs_per_second=rate,
            validate_only=dry_run,
            reason=reason,
        ),
        repeat="Whether it was begun is not known: `kongflow queue jobs list` shows what runs.",
    )
    if not dry_run:
        session.printer.resource(response.redrive, _DETAILS)
    elif session.printer.as_json:
        session.printer.json_object(to_json(response))
    else:
        session.printer.items(iter(response.sample), COLUMNS, "No dead letters.")
        total = response.redrive.total_count
        session.printer.remark(f"{total} would run again, {rate} each second; nothing was done.")


@with_options(session=_SESSION)
def redrive_status(session: Session, redrive_id: _RedriveId) -> None:
    """Show how far a redrive is."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).GetRedrive,
        workerqueue_service_pb2.GetRedriveRequest(id=redrive_id),
    )
    session.printer.resource(response.redrive, _DETAILS)


@with_options(session=_SESSION)
def stop_redrive(session: Session, redrive_id: _RedriveId, reason: Reason = "") -> None:
    """Stop a redrive; what it has made run, runs."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).CancelRedrive,
        workerqueue_service_pb2.CancelRedriveRequest(id=redrive_id, reason=reason),
        repeat="Whether it is stopped is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.redrive, _DETAILS)


def add_to(jobs: typer.Typer) -> None:
    """Adds the commands to those on queued jobs."""
    jobs.command("redrive")(redrive_jobs)
    jobs.command("redrive-status")(redrive_status)
    jobs.command("redrive-stop")(stop_redrive)
