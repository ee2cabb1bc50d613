"""Waits for the end of a run, and shows what came of it."""

import time

from kongflow.runs.v1 import runs_service_pb2
from kongflow.runs.v1.run_pb2 import Run
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow_cli.client.exit_codes import NO_ANSWER
from kongflow_cli.client.session import Session
from kongflow_cli.errors import CliError
from kongflow_cli.output.cells import Cell, Column, time_of, word, yes_or_no
from kongflow_cli.output.documents import document_cell

_PAUSE_SECONDS = 0.1
_LONGEST_SECONDS = 300.0
_ENDED = frozenset(
    {
        Run.STATE_SUCCESS,
        Run.STATE_FAILURE,
        Run.STATE_TIMED_OUT,
        Run.STATE_ABORTED,
        Run.STATE_CANCELED,
        Run.STATE_UNRESOLVED_AUTH,
        Run.STATE_INVALID_PAYLOAD,
    }
)


def wait_for_run(session: Session, run_id: str, *, wait: bool) -> Run:
    """The run; with `wait` once it has ended. Raises CliError when that takes too long."""
    stub = RunsServiceStub(session.channel)
    request = runs_service_pb2.GetRunRequest(id=run_id)
    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        run = session.call(stub.GetRun, request).run
        if not wait or run.state in _ENDED:
            return run
        if time.monotonic() > deadline:
            raise CliError(
                f"The run {run_id} has not ended within {_LONGEST_SECONDS:.0f} s.", NO_ANSWER
            )
        time.sleep(_PAUSE_SECONDS)


def _took(run: Run) -> Cell:
    if not run.execution_count:
        return None
    milliseconds = run.execution_duration.ToMilliseconds()
    times = f"{run.execution_count} executions" if run.execution_count > 1 else "1 execution"
    failed = f", {run.execution_failure_count} failed" if run.execution_failure_count else ""
    return f"{milliseconds} ms in {times}{failed}"


RUN_COLUMNS: list[Column[Run]] = [
    Column("Id", lambda run: run.id),
    Column("State", lambda run: word(Run.State.Name, run.state, "STATE_")),
    Column("Job", lambda run: run.job_slug or run.job_id),
    Column("Number", lambda run: str(run.number) if run.number else ""),
    Column("Created", lambda run: time_of(run, "create_time")),
    Column("Error", lambda run: run.error_message),
    Column("Version", lambda run: run.version or run.version_alias, wide=True),
    Column("Job id", lambda run: run.job_id, wide=True),
    Column("Event record", lambda run: run.event_record_id, wide=True),
    Column("Dispatcher", lambda run: run.dispatcher_id, wide=True),
    Column("Queued", lambda run: time_of(run, "queue_time"), wide=True),
    Column("Started", lambda run: time_of(run, "start_time"), wide=True),
    Column("Completed", lambda run: time_of(run, "complete_time"), wide=True),
    Column("Test", lambda run: yes_or_no(run.test), wide=True),
]
RUN_DETAILS: list[Column[Run]] = [
    *RUN_COLUMNS,
    Column("Took", _took),
    Column("Output", lambda run: document_cell(run, "output")),
]
