"""`kongflow queue jobs redrive`: has dead letters run again, a few each second."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from google.protobuf.struct_pb2 import Struct

from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow.workerqueue.v1.redrive_pb2 import Redrive
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import as_operator_of_any_environment
from kongflow_cli.client.reason import Reason
from kongflow_cli.client.session import Session
from kongflow_cli.commands.queue_jobs import COLUMNS
from kongflow_cli.errors import CliError
from kongflow_cli.input.documents import Documents
from kongflow_cli.input.filter_text import all_of, is_after, text_is
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.time_text import parse_since
from kongflow_cli.output.cells import Cell, Column, time_of, word
from kongflow_cli.output.proto_json import document_of_struct, to_json

_SESSION = as_operator_of_any_environment("workerqueue")
_RedriveId = Annotated[str, typer.Argument(metavar="ID", help="Id of the redrive.")]


def _progress(redrive: Redrive) -> Cell:
    skipped = f", {redrive.skipped_count} skipped" if redrive.skipped_count else ""
    refused = f", {redrive.refused_count} refused" if redrive.refused_count else ""
    return f"{redrive.redriven_count}/{redrive.total_count}{skipped}{refused}"


def _arguments(holder: Redrive | QueuedJob) -> Cell:
    return _one_line(holder.args) if holder.HasField("args") else None


def _patch(redrive: Redrive) -> Cell:
    return _one_line(redrive.args_patch) if redrive.HasField("args_patch") else None


def _one_line(document: Struct) -> Cell:
    return json.dumps(document_of_struct(document), ensure_ascii=False, sort_keys=True)


_DETAILS: list[Column[Redrive]] = [
    Column("Id", lambda redrive: redrive.id),
    Column("State", lambda redrive: word(Redrive.State.Name, redrive.state, "STATE_")),
    Column("Jobs", _progress),
    Column("Rate", lambda redrive: f"{redrive.jobs_per_second}/s"),
    Column("Filter", lambda redrive: redrive.filter),
    Column("Arguments", _arguments),
    Column("Patch", _patch),
    Column("Environment", lambda redrive: redrive.environment_id),
    Column("Began", lambda redrive: time_of(redrive, "create_time")),
    Column("Ended", lambda redrive: time_of(redrive, "end_time")),
    Column("By", lambda redrive: redrive.caller_name),
    Column("Reason", lambda redrive: redrive.reason),
]
_EDITED: list[Column[QueuedJob]] = [
    *(column for column in COLUMNS if column.header in {"Id", "Kind", "Attempts"}),
    Column("Arguments then", _arguments),
]


@contextmanager
def _dead_letters(
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
) -> Iterator[str]:
    """Options that say which dead letters, as a filter."""
    yield all_of(
        text_is("kind", kind),
        text_is("queue", queue_name),
        text_is("error_code", error_code),
        is_after("end_time", since),
        filter_text or "",
    )


@dataclass(frozen=True, slots=True)
class _Edit:
    """What arguments become."""

    args: bytes | None
    args_patch: bytes | None

    def write(self, request: workerqueue_service_pb2.RedriveQueuedJobsRequest) -> None:
        """Puts it into a request."""
        if self.args is not None:
            request.args = self.args
        if self.args_patch is not None:
            request.args_patch = self.args_patch


@contextmanager
def _edit(
    args: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            metavar="JSON",
            help="Arguments that each runs with instead of its own; --kind says whose. "
            "@file and - are read.",
        ),
    ] = None,
    args_patch: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            metavar="JSON",
            help="A merge patch for the arguments of each: what it names is replaced, null takes "
            "away. @file and - are read.",
        ),
    ] = None,
) -> Iterator[_Edit]:
    """Options that say what arguments become."""
    if args is not None and args_patch is not None:
        raise CliError("--args and --args-patch cannot both say what arguments become.", USAGE)
    documents = Documents()
    yield _Edit(
        documents.read("--args", args) if args is not None else None,
        documents.read("--args-patch", args_patch) if args_patch is not None else None,
    )


@with_options(condition=_dead_letters, edit=_edit, session=_SESSION)
def redrive_jobs(
    session: Session,
    condition: str,
    edit: _Edit,
    *,
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
    if bool(condition) == everything and not dry_run:
        raise CliError("Either options say which run again, or --all.", USAGE)
    request = workerqueue_service_pb2.RedriveQueuedJobsRequest(
        filter=condition, jobs_per_second=rate, validate_only=dry_run, reason=reason
    )
    edit.write(request)
    response = session.call(
        WorkerQueueServiceStub(session.channel).RedriveQueuedJobs,
        request,
        repeat="Whether it was begun is not known: `kongflow queue jobs list` shows what runs.",
    )
    if not dry_run:
        session.printer.resource(response.redrive, _DETAILS)
    elif session.printer.as_json:
        session.printer.json_object(to_json(response))
    else:
        edits = request.WhichOneof("edit") is not None
        columns = _EDITED if edits else COLUMNS
        session.printer.items(iter(response.sample), columns, "No dead letters.")
        for each in response.refused:
            session.printer.remark(f"{each.queued_job_id} would stay: {each.description}")
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
