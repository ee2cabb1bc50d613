"""`kongflow queue jobs`: shows queued jobs to operators, and lets them step in."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import typer

from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.job_options_pb2 import Priority
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator_of_any_environment, filtered_pages
from kongflow_cli.client.reason import Reason
from kongflow_cli.client.session import Session
from kongflow_cli.input.documents import Documents
from kongflow_cli.input.filter_text import all_of, is_after, text_is, text_is_one_of
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.states import PriorityWord, QueuedJobState
from kongflow_cli.input.time_text import parse_since
from kongflow_cli.output.cells import Cell, Column, time_of, word
from kongflow_cli.output.proto_json import document_of_struct, to_json
from kongflow_cli.output.times import absolute

jobs = typer.Typer(
    no_args_is_help=True, help="Queued jobs: durable calls that wait, run, or have ended."
)

_SESSION = as_operator_of_any_environment("workerqueue")
_FAILED = (QueuedJobState.RETRYABLE, QueuedJobState.DISCARDED)


def _attempts(job: QueuedJob) -> Cell:
    return f"{job.attempt}/{job.max_attempts}"


def _newest_error(job: QueuedJob) -> Cell:
    return job.errors[-1].status.message if job.errors else None


def _errors(job: QueuedJob) -> Cell:
    return "\n".join(
        f"{each.attempt}. {absolute(each.time)} {each.status.message}" for each in job.errors
    )


def _arguments(job: QueuedJob) -> Cell:
    if not job.HasField("args"):
        return None
    return json.dumps(document_of_struct(job.args), indent=2, ensure_ascii=False)


COLUMNS: list[Column[QueuedJob]] = [
    Column("Id", lambda job: job.id),
    Column("State", lambda job: word(QueuedJob.State.Name, job.state, "STATE_")),
    Column("Kind", lambda job: job.kind),
    Column("Attempts", _attempts),
    Column("Runs", lambda job: time_of(job, "run_time")),
    Column("Queue", lambda job: job.queue),
    Column("Waits for", lambda job: job.waiting_for),
    Column("Priority", lambda job: word(Priority.Name, job.priority, "PRIORITY_"), wide=True),
    Column("Created", lambda job: time_of(job, "create_time"), wide=True),
    Column("Tried", lambda job: time_of(job, "attempt_time"), wide=True),
    Column("Ended", lambda job: time_of(job, "end_time"), wide=True),
    Column("Environment", lambda job: job.environment_id, wide=True),
    Column("Job key", lambda job: job.job_key, wide=True),
    Column("Newest error", _newest_error, wide=True),
]
_DETAILS: list[Column[QueuedJob]] = [
    *COLUMNS[:-1],
    Column("Serial key", lambda job: job.serial_key),
    Column("Concurrency key", lambda job: job.concurrency_key),
    Column("Rate key", lambda job: job.rate_key),
    Column("Turn", lambda job: str(job.turn)),
    Column("Tags", lambda job: ", ".join(job.tags)),
    Column("Trace", lambda job: job.traceparent),
    Column("Errors", _errors),
    Column("Arguments", _arguments),
]

_UNKNOWN = "Whether it was done is not known: `kongflow queue jobs get` shows it."
_JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the queued job.")]


@jobs.command("get")
@with_options(session=_SESSION)
def get_job(session: Session, job_id: _JobId) -> None:
    """Show a queued job with its arguments and errors."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).GetQueuedJob,
        workerqueue_service_pb2.GetQueuedJobRequest(id=job_id),
    )
    session.printer.resource(response.queued_job, _DETAILS)


@jobs.command("retry")
@with_options(session=_SESSION)
def retry_job(
    session: Session,
    job_id: _JobId,
    args: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            metavar="JSON",
            help="For a discarded job: arguments to run with instead; @file and - are read.",
        ),
    ] = None,
    reason: Reason = "",
) -> None:
    """Make a queued job run at once; one that has ended gets its attempts anew."""
    other_args = Documents().read("--args", args) if args is not None else b""
    response = session.call(
        WorkerQueueServiceStub(session.channel).RetryQueuedJob,
        workerqueue_service_pb2.RetryQueuedJobRequest(id=job_id, reason=reason, args=other_args),
        repeat=_UNKNOWN,
    )
    session.printer.resource(response.queued_job, _DETAILS)


@jobs.command("cancel")
@with_options(session=_SESSION)
def cancel_job(session: Session, job_id: _JobId, reason: Reason = "") -> None:
    """Take a queued job back before it has ended; the call of a running one is cancelled."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).CancelQueuedJob,
        workerqueue_service_pb2.CancelQueuedJobRequest(id=job_id, reason=reason),
        repeat=_UNKNOWN,
    )
    session.printer.resource(response.queued_job, _DETAILS)


@jobs.command("delete")
@with_options(session=_SESSION)
def delete_job(session: Session, job_id: _JobId, reason: Reason = "") -> None:
    """Delete a queued job that has ended."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).DeleteQueuedJob,
        workerqueue_service_pb2.DeleteQueuedJobRequest(id=job_id, reason=reason),
        repeat=_UNKNOWN,
    )
    if session.printer.as_json:
        session.printer.json_object(to_json(response))
    else:
        session.printer.remark(f"Queued job {job_id} is deleted.")


@jobs.command("list")
@with_options(session=_SESSION, page=filtered_pages)
def list_jobs(
    session: Session,
    page: PageOptions,
    *,
    state: Annotated[
        list[QueuedJobState] | None,
        typer.Option(
            case_sensitive=False,
            help="Only in this state; failed means retryable or discarded. May be repeated.",
        ),
    ] = None,
    queue_name: Annotated[
        str | None, typer.Option("--queue", help="Only those that wait in this queue.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    priority: Annotated[
        PriorityWord | None, typer.Option(case_sensitive=False, help="Only of this priority.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only newer ones: 2h, or a time."),
    ] = None,
) -> None:
    """List queued jobs, the newest first."""
    filter_text = all_of(
        text_is_one_of("state", states_of(state or ())),
        text_is("queue", queue_name),
        text_is("kind", kind),
        text_is("priority", priority.name if priority else None),
        is_after("create_time", since),
        page.filter,
    )
    stub = WorkerQueueServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[QueuedJob], str]:
        request = workerqueue_service_pb2.ListQueuedJobsRequest(
            page_size=page_size, page_token=page_token, filter=filter_text
        )
        response = session.call(stub.ListQueuedJobs, request)
        return list(response.queued_jobs), response.next_page_token

    print_list(session.printer, page, fetch, COLUMNS, "No queued jobs.")


def states_of(states: Sequence[QueuedJobState]) -> Iterator[str]:
    """The states that words for states stand for."""
    for each in states:
        for state in _FAILED if each is QueuedJobState.FAILED else (each,):
            yield state.name
