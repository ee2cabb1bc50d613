"""`kongflow queue jobs watch`: shows queued jobs as they change."""

from typing import Annotated

import typer

from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_cli.client.option_groups import with_options, without
from kongflow_cli.client.options import WatchTimeout, as_operator_of_any_environment
from kongflow_cli.client.session import Session
from kongflow_cli.commands.queue_jobs import states_of
from kongflow_cli.input.filter_text import all_of, text_is, text_is_one_of
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.states import QueuedJobState
from kongflow_cli.output.cells import Cell, Column, time_of, word
from kongflow_cli.output.printer import Printer
from kongflow_cli.output.proto_json import to_json

_SESSION = without(as_operator_of_any_environment("workerqueue"), "timeout")


def _changed(job: QueuedJob) -> Cell:
    return time_of(job, "end_time") or time_of(job, "attempt_time") or time_of(job, "create_time")


def _newest_error(job: QueuedJob) -> Cell:
    if job.state not in {QueuedJob.STATE_RETRYABLE, QueuedJob.STATE_DISCARDED} or not job.errors:
        return None
    return job.errors[-1].status.message


_COLUMNS: list[Column[QueuedJob]] = [
    Column("Changed", _changed),
    Column("State", lambda job: word(QueuedJob.State.Name, job.state, "STATE_")),
    Column("Kind", lambda job: job.kind),
    Column("Id", lambda job: job.id),
    Column("Attempts", lambda job: f"{job.attempt}/{job.max_attempts}"),
    Column("Error", _newest_error),
]


@with_options(session=_SESSION)
def watch_jobs(
    session: Session,
    *,
    state: Annotated[
        list[QueuedJobState] | None,
        typer.Option(
            case_sensitive=False,
            help="Those that come into this state, or leave it; failed means retryable or "
            "discarded. May be repeated.",
        ),
    ] = None,
    queue_name: Annotated[
        str | None, typer.Option("--queue", help="Only those of this queue.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    filter_text: Annotated[
        str | None,
        typer.Option(
            "--filter",
            callback=not_empty,
            metavar="AIP-160",
            help="Only what this expression says.",
        ),
    ] = None,
    changes_only: Annotated[
        bool, typer.Option("--changes-only", help="Leave out the jobs that there are already.")
    ] = False,
    timeout: WatchTimeout = None,
) -> None:
    """Show queued jobs as they change, until Ctrl-C or --timeout.

    With --json a document per line.
    """
    request = workerqueue_service_pb2.WatchQueuedJobsRequest(
        filter=all_of(
            text_is_one_of("state", states_of(state or ())),
            text_is("queue", queue_name),
            text_is("kind", kind),
            filter_text or "",
        ),
        with_present=not changes_only,
    )
    stub = WorkerQueueServiceStub(session.channel)
    answers = session.stream(
        stub.WatchQueuedJobs, request, seconds=timeout, may_be_silent=changes_only
    )
    for answer in answers:
        _show(session.printer, answer)


def _show(printer: Printer, answer: workerqueue_service_pb2.WatchQueuedJobsResponse) -> None:
    for job in answer.queued_jobs:
        if printer.as_json:
            printer.json_line(to_json(job))
        else:
            printer.row(job, _COLUMNS)
    for job_id in answer.deleted_ids:
        if printer.as_json:
            printer.json_line({"id": job_id, "deleted": True})
        else:
            printer.remark(f"Queued job {job_id} is deleted.")
    if answer.skipped:
        printer.remark(
            "There are more than the newest 1,000."
            if answer.present
            else "More has changed than is shown; `kongflow queue jobs list` shows how it stands."
        )


def add_to(jobs: typer.Typer) -> None:
    """Adds the command to those of queued jobs."""
    jobs.command("watch")(watch_jobs)
