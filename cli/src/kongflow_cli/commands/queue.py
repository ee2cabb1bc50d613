"""`kongflow queue`: shows the worker queue to operators, and lets them step in."""

from datetime import timedelta
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.queue_pb2 import Queue, QueueStats
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator, pages
from kongflow_cli.client.reason import Reason
from kongflow_cli.client.session import Session
from kongflow_cli.commands import queue_audit, queue_redrives, queue_watch
from kongflow_cli.commands.queue_jobs import jobs
from kongflow_cli.commands.queue_periodic import periodic
from kongflow_cli.output.cells import Cell, Column, Word, time_of

app = typer.Typer(no_args_is_help=True, add_completion=False)
queue_watch.add_to(jobs)
queue_redrives.add_to(jobs)
queue_audit.add_to(app)
app.add_typer(jobs, name="jobs")
app.add_typer(periodic, name="periodic")


@app.callback()
def queue() -> None:
    """See the worker queue, and step in."""


_SESSION = as_operator("workerqueue")
_REPEAT = "Whether it was done is not known; to repeat the command is harmless."
_QueueName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the queue.")]


def _wait(duration: Duration) -> Cell:
    wait = timedelta(seconds=duration.seconds)
    return str(wait) if wait else None


_COLUMNS: list[Column[Queue]] = [
    Column("Queue", lambda queue: queue.name),
    Column("State", lambda queue: Word("paused" if queue.HasField("pause_time") else "on")),
    Column("Available", lambda queue: str(queue.available_count)),
    Column("Running", lambda queue: str(queue.running_count)),
    Column("Waiting", lambda queue: str(queue.waiting_count)),
    Column("Limit", lambda queue: str(queue.max_running) if queue.max_running else None),
    Column("Oldest wait", lambda queue: _wait(queue.oldest_wait)),
    Column("Paused", lambda queue: time_of(queue, "pause_time")),
]


def _of_queue(column: Column[Queue]) -> Column[QueueStats]:
    return Column(column.header, lambda stats: column.read(stats.queue))


def _ended(throughput: QueueStats.Throughput, seconds: int) -> Cell:
    return (
        f"{throughput.completed_count} completed ({throughput.completed_count / seconds:.1f}/s), "
        f"{throughput.discarded_count} discarded, {throughput.cancelled_count} cancelled"
    )


def _environments(stats: QueueStats) -> Cell:
    return "\n".join(
        f"{share.environment_id or 'above all'}: {share.unfinished_count} unfinished, "
        f"{share.running_count} running"
        for share in stats.environments
    )


_STATS: list[Column[QueueStats]] = [
    *[_of_queue(column) for column in _COLUMNS],
    Column("Dead letters", lambda stats: str(stats.discarded_count)),
    Column("Last minute", lambda stats: _ended(stats.last_minute, 60)),
    Column("Last 5 minutes", lambda stats: _ended(stats.last_five_minutes, 300)),
    Column("Environments", _environments),
]


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_queues(session: Session, page: PageOptions) -> None:
    """List the queues with what they hold."""
    stub = WorkerQueueServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Queue], str]:
        request = workerqueue_service_pb2.ListQueuesRequest(
            page_size=page_size, page_token=page_token
        )
        response = session.call(stub.ListQueues, request)
        return list(response.queues), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No queues.")


@app.command("stats")
@with_options(session=_SESSION)
def queue_stats(session: Session, name: _QueueName) -> None:
    """Show what a queue holds, for whom, and what it has done of late."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).GetQueueStats,
        workerqueue_service_pb2.GetQueueStatsRequest(queue=name),
    )
    session.printer.resource(response.queue_stats, _STATS)


@app.command("pause")
@with_options(session=_SESSION)
def pause_queue(session: Session, name: _QueueName, reason: Reason = "") -> None:
    """Have no job of a queue begun until it is resumed; what runs is finished."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).PauseQueue,
        workerqueue_service_pb2.PauseQueueRequest(queue=name, reason=reason),
        repeat=_REPEAT,
    )
    session.printer.resource(response.queue, _COLUMNS)


@app.command("resume")
@with_options(session=_SESSION)
def resume_queue(session: Session, name: _QueueName, reason: Reason = "") -> None:
    """Let a paused queue go on."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).ResumeQueue,
        workerqueue_service_pb2.ResumeQueueRequest(queue=name, reason=reason),
        repeat=_REPEAT,
    )
    session.printer.resource(response.queue, _COLUMNS)


@app.command("limit")
@with_options(session=_SESSION)
def limit_queue(
    session: Session,
    name: _QueueName,
    max_running: Annotated[
        int,
        typer.Option(
            "--max-running",
            min=0,
            max=100_000,
            help="How many of its jobs may run at once; 0 takes the limit away.",
        ),
    ],
    reason: Reason = "",
) -> None:
    """Limit how many jobs of a queue run at once, over all workers."""
    response = session.call(
        WorkerQueueServiceStub(session.channel).LimitQueue,
        workerqueue_service_pb2.LimitQueueRequest(
            queue=name, max_running=max_running, reason=reason
        ),
        repeat=_REPEAT,
    )
    session.printer.resource(response.queue, _COLUMNS)
