"""`kongflow queue periodic`: shows what is enqueued by the clock, and lets operators step in."""

from typing import Annotated

import typer

from kongflow.workerqueue.v1 import periodic_jobs_service_pb2 as pb
from kongflow.workerqueue.v1.periodic_job_pb2 import PeriodicJob
from kongflow.workerqueue.v1.periodic_jobs_service_pb2_grpc import PeriodicJobsServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator, pages
from kongflow_cli.client.reason import Reason
from kongflow_cli.client.session import Session
from kongflow_cli.output.cells import Column, Word, time_of

periodic = typer.Typer(no_args_is_help=True, add_completion=False)

_SESSION = as_operator("workerqueue")
_REPEAT = "Whether it was done is not known; to repeat the command is harmless."
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the periodic job.")]

_COLUMNS: list[Column[PeriodicJob]] = [
    Column("Name", lambda job: job.name),
    Column("State", lambda job: Word("paused" if job.HasField("pause_time") else "on")),
    Column("Cron", lambda job: job.cron),
    Column("Time zone", lambda job: job.time_zone),
    Column("Next", lambda job: time_of(job, "next_time")),
    Column("Last", lambda job: time_of(job, "last_time")),
    Column("Kind", lambda job: job.kind),
]
_DETAILS: list[Column[PeriodicJob]] = [
    *_COLUMNS,
    Column("Last job", lambda job: job.last_queued_job_id),
    Column("Paused", lambda job: time_of(job, "pause_time")),
]


@periodic.callback()
def periodic_jobs() -> None:
    """See what is enqueued by the clock, and step in."""


@periodic.command("list")
@with_options(session=_SESSION, page=pages)
def list_periodic(session: Session, page: PageOptions) -> None:
    """List the periodic jobs with their next moments."""
    stub = PeriodicJobsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[PeriodicJob], str]:
        request = pb.ListPeriodicJobsRequest(page_size=page_size, page_token=page_token)
        response = session.call(stub.ListPeriodicJobs, request)
        return list(response.periodic_jobs), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No periodic jobs.")


@periodic.command("pause")
@with_options(session=_SESSION)
def pause_periodic(session: Session, name: _Name, reason: Reason = "") -> None:
    """Have a periodic job enqueue nothing until it is resumed."""
    response = session.call(
        PeriodicJobsServiceStub(session.channel).PausePeriodicJob,
        pb.PausePeriodicJobRequest(name=name, reason=reason),
        repeat=_REPEAT,
    )
    session.printer.resource(response.periodic_job, _DETAILS)


@periodic.command("resume")
@with_options(session=_SESSION)
def resume_periodic(session: Session, name: _Name, reason: Reason = "") -> None:
    """Let a paused periodic job go on; what passed meanwhile is left out."""
    response = session.call(
        PeriodicJobsServiceStub(session.channel).ResumePeriodicJob,
        pb.ResumePeriodicJobRequest(name=name, reason=reason),
        repeat=_REPEAT,
    )
    session.printer.resource(response.periodic_job, _DETAILS)


@periodic.command("run")
@with_options(session=_SESSION)
def run_periodic(session: Session, name: _Name, reason: Reason = "") -> None:
    """Enqueue a job of a periodic job at once, beside those of the clock."""
    response = session.call(
        PeriodicJobsServiceStub(session.channel).RunPeriodicJob,
        pb.RunPeriodicJobRequest(name=name, reason=reason),
        repeat="Whether it was enqueued is not known: `kongflow queue periodic list` shows it.",
    )
    session.printer.resource(response.periodic_job, _DETAILS)
    if not response.queued_job_id:
        session.printer.remark("Nothing was enqueued: one like it has not ended.")
