"""Pending runs get numbers within their job, once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.eventing.publisher import EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import StartedAs
from services.runs.tests.conftest import TRACEPARENT, a_run
from services.runs.tests.neighbours import a_version

NOBODY_LISTENS = RunNews(EventPublisher(FixedInterest(), SystemClock(), new_id))


async def stored(writer: BatchingRunWriter, count: int) -> list[NewRun]:
    """Stores runs of one job and one environment."""
    first = a_run()
    runs = [replace(first, id=new_id(), event_record_id=new_id()) for _ in range(count)]
    await CreateRun(writer).many(runs)
    return runs


def queued(runs: Sequence[NewRun]) -> list[tuple[StartedAs, str]]:
    """Plans that queue runs."""
    return [(StartedAs(run.id, RunState.QUEUED, a_version()), TRACEPARENT) for run in runs]


async def numbers(database: Database, runs: list[NewRun]) -> list[tuple[int | None, str]]:
    """Number and state of each run, in the order given."""
    rows = await database.pool.execute("SELECT id, number, status FROM runs.job_runs")
    by_id = {row[0]: (row[1], row[2]) for row in rows}
    return [by_id[run.id] for run in runs]


async def test_runs_are_numbered_from_one_without_gaps(
    database: Database, writer: BatchingRunWriter, relay: OutboxRelay
) -> None:
    runs = await stored(writer, 6)
    starter = PostgresRunStarter(database, relay, NOBODY_LISTENS)
    environment_id = runs[0].environment_id
    ended = StartedAs(runs[3].id, RunState.ABORTED, a_version(), "disabled")
    await starter.start(environment_id, [*queued(runs[:3]), (ended, TRACEPARENT)])
    await starter.start(environment_id, queued(runs[4:]))
    found = await numbers(database, runs)
    assert found[3] == (None, "ABORTED"), "only what is executed is counted"
    del found[3]
    assert {state for _, state in found} == {"QUEUED"}
    assert sorted(number or 0 for number, _ in found) == [1, 2, 3, 4, 5]


async def test_a_queued_run_is_enqueued_for_execution_and_no_other(
    database: Database,
    writer: BatchingRunWriter,
    relay: OutboxRelay,
    worker_queue: RecordingWorkerQueue,
) -> None:
    runs = await stored(writer, 2)
    waiting = StartedAs(runs[1].id, RunState.WAITING_ON_CONNECTIONS, a_version())
    await PostgresRunStarter(database, relay, NOBODY_LISTENS).start(
        runs[0].environment_id, [*queued(runs[:1]), (waiting, TRACEPARENT)]
    )
    keys = [f"job_run:EXECUTE_JOB:{run.id}" for run in runs]
    # Others may have left executions of theirs in the outbox.
    await eventually(lambda: any(m.job_key in keys for m in worker_queue.messages))
    [message] = [m for m in worker_queue.messages if m.job_key in keys]
    worker_queue.assert_enqueued("performRunExecution", runId=str(runs[0].id))
    assert (message.kind, message.job_key) == ("performRunExecution", keys[0])
    assert message.traceparent == TRACEPARENT


async def test_a_repeated_start_changes_nothing(
    database: Database, writer: BatchingRunWriter, relay: OutboxRelay
) -> None:
    runs = await stored(writer, 3)
    starter = PostgresRunStarter(database, relay, NOBODY_LISTENS)
    started = await asyncio.gather(
        *(starter.start(runs[0].environment_id, queued(runs)) for _ in range(8))
    )
    changed = [run_id for run_id, _ in chain.from_iterable(started)]
    assert sorted(changed) == sorted(run.id for run in runs)
    assert sorted(number or 0 for number, _ in await numbers(database, runs)) == [1, 2, 3]


async def test_another_environment_starts_nothing(
    database: Database, writer: BatchingRunWriter, relay: OutboxRelay
) -> None:
    runs = await stored(writer, 1)
    stranger = a_run().environment_id
    starter = PostgresRunStarter(database, relay, NOBODY_LISTENS)
    assert await starter.pending(stranger, [runs[0].id]) == []
    assert await starter.start(stranger, queued(runs)) == []
    assert await numbers(database, runs) == [(None, "PENDING")]
