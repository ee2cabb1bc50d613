"""The hot statements read few rows, however large the tables are.

Their plans are made while the tables are empty, as on a new system, and must serve when they are
not. All runs are one environment's, which is what makes a walk through it dear.
"""

from dataclasses import replace
from uuid import UUID

from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.eventing.declared_data import RunCompleted
from kongflow_common.eventing.envelope import Belonging, PublishedEvent, published_event
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.testing.plans import Statement, entries_read
from kongflow_runs.adapters import (
    purges,
    run_canceller,
    run_executions,
    run_starter,
    run_writer,
    start_messages,
    started_runs,
    unfinished_events,
)
from kongflow_runs.adapters.new_run_rows import new_run_row
from kongflow_runs.adapters.run_news import RUN_COMPLETED
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import StartedAs
from services.runs.tests.conftest import TRACEPARENT, a_run
from services.runs.tests.neighbours import a_version

ROWS = 30_000
RUN = a_run()
TURN = {"queued_job_id": UUID(int=7), "token": 3}


def row_id(number: int) -> UUID:
    """The id of the row that FILL gives this number."""
    return UUID(int=number)


ROW_ID = "lpad(to_hex(n), 32, '0')::uuid"

# The first thousand wait for their start, the next is executing, all others have ended. Each has
# its own event and, every other one, its own request.
FILL_RUNS = f"""
INSERT INTO runs.job_runs (
    id, job_id, version_alias, event_record_id, dispatcher_id, environment_id, organization_id,
    project_id, request_id, status, execution_job_id, execution_token)
SELECT {ROW_ID}, '{RUN.job_id}', 'latest', {ROW_ID}, CASE WHEN n % 2 = 0 THEN {ROW_ID} END,
       '{RUN.environment_id}', '{RUN.organization_id}', '{RUN.project_id}',
       CASE WHEN n % 2 = 1 THEN 'request-' || n END,
       CASE WHEN n <= 1000 THEN 'PENDING' WHEN n <= 2000 THEN 'EXECUTING' ELSE 'SUCCESS' END,
       '{TURN["queued_job_id"]}', 3
FROM generate_series(1, {ROWS}) AS g(n)
ON CONFLICT DO NOTHING
"""

FILL_COUNTERS = f"""
INSERT INTO runs.job_counters (project_id, job_id, last_number)
SELECT '{RUN.project_id}', {ROW_ID}, n FROM generate_series(1, {ROWS}) AS g(n)
ON CONFLICT DO NOTHING
"""


def of_row(number: int, **values: object) -> dict[str, object]:
    """The parameters that speak of one run."""
    return {"id": row_id(number), "environment_id": RUN.environment_id, **values}


def creation(run: NewRun) -> dict[str, object]:
    """The parameters that store a run."""
    return {
        **run_writer.RUNS.bind([(*new_run_row(run), run.version_id)]),
        **run_writer.STARTS.bind([run_writer._start(run)], "tests", [run.id]),
        **run_writer.LOGGED.bind([(run.id, ended(run.id))]),
    }


def started_creation(*runs: NewRun) -> dict[str, object]:
    """The parameters that store queued runs."""
    plans = [(run, StartedAs(run.id, RunState.QUEUED, a_version())) for run in runs]
    messages = [
        start_messages.execution(run.id, run.environment_id, run.traceparent) for run in runs
    ]
    return {
        **started_runs._bound(plans),
        **started_runs._MESSAGES.bind(messages, "tests"),
        **started_runs._LOGGED.bind([(run.id, ended(run.id)) for run in runs]),
    }


def ended(id_: UUID) -> PublishedEvent:
    """The event that a run has ended."""
    return published_event(
        RUN_COMPLETED[RunState.SUCCESS],
        str(id_),
        RunCompleted(state="SUCCESS"),
        belonging=Belonging(RUN.environment_id),
        clock=SystemClock(),
        new_id=new_id,
    )


def logged(number: int) -> dict[str, object]:
    """The parameters that log one run."""
    id_ = row_id(1_000 + number)
    return run_executions._LOGGED.bind([(id_, ended(id_))])


def beginning(number: int) -> dict[str, object]:
    """The parameters that begin the execution of a run."""
    event = ended(row_id(number))
    return of_row(number, **TURN, **run_executions._STARTED.bind([(row_id(number), event)]))


def start() -> dict[str, object]:
    """The parameters that queue two runs."""
    ids = [row_id(1), row_id(2)]
    plans = [StartedAs(id_, RunState.QUEUED, a_version()) for id_ in ids]
    messages = [start_messages.execution(id_, RUN.environment_id, TRACEPARENT) for id_ in ids]
    return {
        **run_starter._PLANS.bind([run_starter._row(plan) for plan in plans]),
        **run_starter._MESSAGES.bind(messages, "tests", ids),
        **run_starter._LOGGED.bind([(row_id(1), ended(row_id(1)))]),
        "environment_id": RUN.environment_id,
    }


def news(number: int) -> dict[str, object]:
    """The parameters that tell of one run."""
    id_ = row_id(1_000 + number)
    message = start_messages.execution(id_, RUN.environment_id, TRACEPARENT)
    return {**run_executions._NEWS.bind([message], "tests", [id_]), **logged(number)}


def cancellation(*ids: UUID) -> dict[str, object]:
    """The parameters that cancel runs."""
    messages = [
        OutboxMessage.remove("performRunExecution", str(id_), environment_id=RUN.environment_id)
        for id_ in ids
    ]
    return {
        **run_canceller._MESSAGES.bind(messages, "tests", ids),
        **run_canceller._LOGGED.bind([(id_, ended(id_)) for id_ in ids]),
        **cancelled(*ids),
    }


def cancelled(*ids: UUID) -> dict[str, object]:
    """The parameters that find what there is to tell of runs."""
    return {"ids": array_parameter("uuid", ids), "environment_id": RUN.environment_id}


def of_event(number: int) -> dict[str, object]:
    """The parameters that find the runs of an event."""
    return {
        "event_record_id": row_id(number),
        "environment_id": RUN.environment_id,
        "after": UUID(int=0),
        "limit": 500,
    }


def statements() -> dict[str, Statement]:
    """All that a run passes through."""
    result = {"status": "SUCCESS", "output": "{}", "error": None}
    count = {"failed": 0, "duration_ms": 5, **TURN}
    holders = [
        (0, RUN.environment_id, row_id(2), row_id(2), RUN.job_id, None),
        (1, RUN.environment_id, row_id(3), None, RUN.job_id, "request-3"),
    ]
    return {
        "create": (run_writer.ADD_RUNS, creation(a_run())),
        "create again": (
            run_writer.ADD_RUNS,
            creation(replace(RUN, event_record_id=row_id(2), dispatcher_id=row_id(2))),
        ),
        "create started": (
            started_runs.ADD_STARTED,
            started_creation(*(replace(a_run(), project_id=RUN.project_id) for _ in range(2))),
        ),
        "holders": (run_writer.FIND_HOLDERS, run_writer.PLACES.bind(holders)),
        "pending": (
            run_starter.PENDING,
            {
                "ids": array_parameter("uuid", [row_id(1), row_id(2)]),
                "environment_id": RUN.environment_id,
            },
        ),
        "start": (run_starter.START, start()),
        "begin": (run_executions._BEGIN, beginning(1001)),
        "outdated": (run_executions._IS_OUTDATED, of_row(1002, **TURN)),
        "end": (run_executions.END, of_row(1001, **count, **result, **logged(1))),
        "again": (run_executions._AGAIN, of_row(1002, **count)),
        "unfinished of a dispatcher": (run_canceller.UNFINISHED, of_event(4)),
        "unfinished of none": (run_canceller.UNFINISHED, of_event(5)),
        "about to be cancelled": (run_canceller.ABOUT, cancelled(row_id(1004), row_id(1005))),
        "unfinished events": (
            unfinished_events.UNFINISHED_EVENTS,
            {
                "ids": array_parameter("uuid", [row_id(number) for number in (4, 5, 4000, 4001)]),
                "environment_id": RUN.environment_id,
            },
        ),
        **{
            f"purge of {owner_id}": (statement, {"owner_id": owner_id, "limit": 0})
            for [statement], owner_id in (
                (purges.OF_ENVIRONMENT, RUN.environment_id),
                (purges.OF_ACCOUNT, new_id()),
                (purges.OF_PROJECT, new_id()),
            )
        },
        "cancel": (run_canceller.CANCEL, cancellation(row_id(1004), row_id(1005))),
        "fail": (run_executions.FAIL, of_row(1003, **result, **logged(3))),
        "about": (run_executions._ABOUT, of_row(1004)),
        "end and tell": (run_executions.END_AND_TELL, of_row(1005, **count, **result, **news(5))),
        "fail and tell": (run_executions.FAIL_AND_TELL, of_row(1006, **result, **news(6))),
    }


async def test_plans_made_for_empty_tables_serve_large_ones(database: Database) -> None:
    read = await entries_read(database, "runs", statements, fill=[FILL_RUNS, FILL_COUNTERS])
    assert {name: count for name, count in read.items() if count > 20} == {}, read
    assert read["begin"] >= 1, "the statistics count nothing"
