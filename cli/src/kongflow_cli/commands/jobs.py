"""`kongflow jobs`: shows the jobs of programs, and runs them by hand."""

from typing import Annotated
from uuid import uuid4

import typer

from kongflow.jobs.v1 import jobs_service_pb2
from kongflow.jobs.v1.job_pb2 import EventExample, Job, JobAlias, JobQueue, JobVersion
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment, pages
from kongflow_cli.client.run_end import RUN_DETAILS, wait_for_run
from kongflow_cli.client.session import Session
from kongflow_cli.input.documents import Documents
from kongflow_cli.output.cells import Cell, Column, time_of, word, yes_or_no
from kongflow_cli.output.documents import document_cell

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="See the jobs of programs, and run them."
)

_SESSION = in_environment("jobs")


def _state(job: Job) -> Cell:
    return word(JobVersion.State.Name, job.latest_version.state, "STATE_")


def _limit(version: JobVersion) -> Cell:
    if not version.concurrency_limit:
        return None
    group = version.concurrency_limit_group
    return f"{version.concurrency_limit} at once{f', shared by {group}' if group else ''}"


_COLUMNS: list[Column[Job]] = [
    Column("Job", lambda job: job.slug),
    Column("State", _state),
    Column("Version", lambda job: job.latest_version.version),
    Column(
        "Trigger",
        lambda job: word(JobVersion.Trigger.Name, job.latest_version.trigger, "TRIGGER_"),
    ),
    Column("Title", lambda job: job.title),
    Column("Created", lambda job: time_of(job, "create_time")),
    Column("Id", lambda job: job.id),
    Column("Internal", lambda job: yes_or_no(job.internal), wide=True),
    Column("Endpoint", lambda job: job.latest_version.endpoint_id, wide=True),
]
_DETAILS: list[Column[Job]] = [
    *_COLUMNS,
    Column("Event", lambda job: document_cell(job.latest_version, "event_specification")),
    Column("Limit", lambda job: _limit(job.latest_version)),
    Column(
        "Integrations",
        lambda job: ", ".join(each.key for each in job.latest_version.integrations),
    ),
]
_VERSION_COLUMNS: list[Column[JobVersion]] = [
    Column("Version", lambda version: version.version),
    Column("State", lambda version: word(JobVersion.State.Name, version.state, "STATE_")),
    Column("Trigger", lambda version: word(JobVersion.Trigger.Name, version.trigger, "TRIGGER_")),
    Column("Limit", _limit),
    Column("Created", lambda version: time_of(version, "create_time")),
    Column("Id", lambda version: version.id),
]
_ALIAS_COLUMNS: list[Column[JobAlias]] = [
    Column("Alias", lambda alias: alias.name),
    Column("Version", lambda alias: alias.value),
    Column("Version id", lambda alias: alias.version_id),
]
_EXAMPLE_COLUMNS: list[Column[EventExample]] = [
    Column("Example", lambda example: example.slug),
    Column("Name", lambda example: example.name),
    Column("Payload", lambda example: document_cell(example, "payload")),
]
_QUEUE_COLUMNS: list[Column[JobQueue]] = [
    Column("Queue", lambda queue: queue.name),
    Column("At once", lambda queue: str(queue.max_jobs)),
    Column("Versions", lambda queue: str(queue.job_count)),
    Column("Id", lambda queue: queue.id),
]

_Key = Annotated[str, typer.Argument(metavar="JOB", help="Slug or id of the job.")]
_Payload = Annotated[
    str | None,
    typer.Option(help="JSON, @file, or - for the standard input.", show_default="{}"),
]
_Account = Annotated[str, typer.Option(help="Your name of the account it belongs to.")]
_NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return at once, not when the run has ended.")
]


@app.command("list")
@with_options(session=_SESSION, page=filtered_pages)
def list_jobs(session: Session, page: PageOptions) -> None:
    """List the jobs that have a version in the environment, the newest first."""
    stub = JobsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Job], str]:
        response = session.call(
            stub.ListJobs,
            jobs_service_pb2.ListJobsRequest(
                page_size=page_size, page_token=page_token, filter=page.filter
            ),
        )
        return list(response.jobs), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No jobs.")


@app.command("get")
@with_options(session=_SESSION)
def get_job(session: Session, key: _Key) -> None:
    """Show a job with its latest version."""
    session.printer.resource(_find(session, key), _DETAILS)


@app.command("versions")
@with_options(session=_SESSION, page=pages)
def list_versions(session: Session, page: PageOptions, key: _Key) -> None:
    """List the versions of a job, the newest first."""
    stub, job_id = JobsServiceStub(session.channel), _find(session, key).id

    def fetch(page_size: int, page_token: str) -> tuple[list[JobVersion], str]:
        response = session.call(
            stub.ListJobVersions,
            jobs_service_pb2.ListJobVersionsRequest(
                job_id=job_id, page_size=page_size, page_token=page_token
            ),
        )
        return list(response.job_versions), response.next_page_token

    print_list(session.printer, page, fetch, _VERSION_COLUMNS, "No versions.")


@app.command("aliases")
@with_options(session=_SESSION, page=pages)
def list_aliases(session: Session, page: PageOptions, key: _Key) -> None:
    """List the aliases of a job."""
    stub, job_id = JobsServiceStub(session.channel), _find(session, key).id

    def fetch(page_size: int, page_token: str) -> tuple[list[JobAlias], str]:
        response = session.call(
            stub.ListJobAliases,
            jobs_service_pb2.ListJobAliasesRequest(
                job_id=job_id, page_size=page_size, page_token=page_token
            ),
        )
        return list(response.job_aliases), response.next_page_token

    print_list(session.printer, page, fetch, _ALIAS_COLUMNS, "No aliases.")


@app.command("examples")
@with_options(session=_SESSION, page=pages)
def list_examples(session: Session, page: PageOptions, key: _Key) -> None:
    """List the examples of a job's latest version."""
    stub, job = JobsServiceStub(session.channel), _find(session, key)

    def fetch(page_size: int, page_token: str) -> tuple[list[EventExample], str]:
        response = session.call(
            stub.ListEventExamples,
            jobs_service_pb2.ListEventExamplesRequest(
                version_id=job.latest_version.id, page_size=page_size, page_token=page_token
            ),
        )
        return list(response.event_examples), response.next_page_token

    print_list(session.printer, page, fetch, _EXAMPLE_COLUMNS, "No examples.")


@app.command("queues")
@with_options(session=_SESSION, page=pages)
def list_queues(session: Session, page: PageOptions) -> None:
    """List the queues that runs wait in."""
    stub = JobsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[JobQueue], str]:
        response = session.call(
            stub.ListJobQueues,
            jobs_service_pb2.ListJobQueuesRequest(page_size=page_size, page_token=page_token),
        )
        return list(response.job_queues), response.next_page_token

    print_list(session.printer, page, fetch, _QUEUE_COLUMNS, "No queues.")


@app.command("test")
@with_options(session=_SESSION)
def run_test(
    session: Session,
    key: _Key,
    *,
    payload: _Payload = None,
    account: _Account = "",
    no_wait: _NoWait = False,
) -> None:
    """Run a job's latest version as a test, with a payload of yours."""
    request = jobs_service_pb2.TestJobRequest(account_id=account, request_id=str(uuid4()))
    if _is_id(key):
        request.job_id = key
    else:
        request.job_slug = key
    if payload is not None:
        request.payload.json = Documents().read("--payload", payload)
    response = session.call(JobsServiceStub(session.channel).TestJob, request)
    _show_run(session, response.run_id, wait=not no_wait)


@app.command("invoke")
@with_options(session=_SESSION)
def invoke_job(
    session: Session,
    key: _Key,
    *,
    payload: _Payload = None,
    account: _Account = "",
    idempotency_key: Annotated[
        str, typer.Option(help="A repeat with the same key answers with the first run.")
    ] = "",
    no_wait: _NoWait = False,
) -> None:
    """Run a job's latest version by its name, whatever its trigger."""
    known = idempotency_key or str(uuid4())
    request = jobs_service_pb2.InvokeJobRequest(account_id=account, idempotency_key=known)
    if _is_id(key):
        request.job_id = key
    else:
        request.job_slug = key
    if payload is not None:
        request.payload.json = Documents().read("--payload", payload)
    response = session.call(
        JobsServiceStub(session.channel).InvokeJob,
        request,
        repeat=f"Whether it runs is not known: repeat the command with --idempotency-key {known}.",
    )
    _show_run(session, response.run_id, wait=not no_wait)


@app.command("delete")
@with_options(session=_SESSION)
def delete_job(session: Session, key: _Key) -> None:
    """Delete a job whose versions are disabled, until a program registers it again."""
    job = _find(session, key)
    session.call(
        JobsServiceStub(session.channel).DeleteJob,
        jobs_service_pb2.DeleteJobRequest(id=job.id),
        repeat="Whether it was done is not known; to repeat the command is harmless.",
    )
    session.printer.remark(f"{job.slug} is deleted.")


def _find(session: Session, key: str) -> Job:
    request = jobs_service_pb2.GetJobRequest()
    if _is_id(key):
        request.id = key
    else:
        request.slug = key
    return session.call(JobsServiceStub(session.channel).GetJob, request).job


def _is_id(key: str) -> bool:
    return len(key) == 36 and key.count("-") == 4


def _show_run(session: Session, run_id: str, *, wait: bool) -> None:
    with session.beside("runs") as runs:
        runs.printer.resource(wait_for_run(runs, run_id, wait=wait), RUN_DETAILS)
