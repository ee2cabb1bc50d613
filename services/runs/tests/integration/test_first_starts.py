"""New runs are started where they are created; what fails goes by the worker queue."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.first_starts import FirstStarts
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.domain.run import NewRun
from kongflow_runs.main import runs_starter
from services.runs.tests.conftest import TRACEPARENT, a_run
from services.runs.tests.neighbours import Others


@pytest.fixture
async def starting_writer(
    database: Database, relay: OutboxRelay, others: Others
) -> AsyncIterator[BatchingRunWriter]:
    """A writer that has new runs started at once, as main puts it together."""
    start = runs_starter(database, relay, others.neighbours).created
    async with (
        FirstStarts(start, relay) as first_starts,
        BatchingRunWriter(database, relay, RunNews(others.neighbours.news), first_starts) as writer,
    ):
        # While the relay has not looked into the table, what is new waits there for it.
        await eventually(lambda: relay.claimed_by_for_new_rows() is not None)
        yield writer


async def states(database: Database, *like: NewRun) -> list[tuple[str, int | None]]:
    """State and number of all runs of the same environments, by their numbers."""
    rows = await database.pool.execute(
        "SELECT status, number FROM runs.job_runs"
        " WHERE environment_id = ANY(%(environments)b) ORDER BY number",
        {"environments": array_parameter("uuid", [run.environment_id for run in like])},
    )
    return [(status, number) for status, number in rows]


async def outbox_kinds(database: Database, run: NewRun) -> list[str]:
    """What waits in the outbox for the run's environment."""
    rows = await database.pool.execute(
        "SELECT kind FROM runs.outbox WHERE environment_id = %(environment_id)b",
        {"environment_id": run.environment_id},
    )
    return [kind for (kind,) in rows]


async def test_a_new_run_is_started_without_the_worker_queue(
    database: Database, starting_writer: BatchingRunWriter, worker_queue: RecordingWorkerQueue
) -> None:
    run = a_run()
    run_id = await starting_writer.create(run)
    await worker_queue.wait_for("performRunExecution")
    message = worker_queue.assert_enqueued("performRunExecution", runId=str(run_id))
    assert message.traceparent == TRACEPARENT
    assert await states(database, run) == [("QUEUED", 1)]

    async def outbox_is_empty() -> bool:
        return not await outbox_kinds(database, run)

    await eventually(outbox_is_empty)
    assert worker_queue.of_kind("startRun") == []


async def test_what_cannot_be_started_goes_by_the_worker_queue(
    database: Database,
    starting_writer: BatchingRunWriter,
    worker_queue: RecordingWorkerQueue,
    others: Others,
) -> None:
    others.away = True
    run = a_run()
    run_id = await starting_writer.create(run)
    await worker_queue.wait_for("startRun")
    message = worker_queue.assert_enqueued("startRun", runId=str(run_id))
    assert message.traceparent == TRACEPARENT
    assert await states(database, run) == [("PENDING", None)]


async def test_a_run_that_is_there_already_is_not_started_again(
    database: Database, starting_writer: BatchingRunWriter, worker_queue: RecordingWorkerQueue
) -> None:
    run = a_run()
    first = await starting_writer.create(run)
    await worker_queue.wait_for("performRunExecution")
    assert await starting_writer.create(a_run(like=run)) == first
    assert await states(database, run) == [("QUEUED", 1)]
    assert len(worker_queue.of_kind("performRunExecution")) == 1


async def test_runs_of_many_environments_are_started_and_numbered_by_their_jobs(
    database: Database, starting_writer: BatchingRunWriter, worker_queue: RecordingWorkerQueue
) -> None:
    one, other = a_run(), a_run()
    runs = [replace(run, id=new_id(), event_record_id=new_id()) for run in (one, other) * 3]
    await asyncio.gather(*map(starting_writer.create, runs))
    await eventually(lambda: len(worker_queue.of_kind("performRunExecution")) == 6)
    numbers = [("QUEUED", 1)] * 2 + [("QUEUED", 2)] * 2 + [("QUEUED", 3)] * 2
    assert await states(database, one, other) == numbers


class Stopped:
    """A start that does not end until it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, runs: Sequence[NewRun]) -> None:
        self.begun.set()
        await self.go_on.wait()


async def test_runs_that_would_wait_for_long_go_by_the_worker_queue(
    database: Database, relay: OutboxRelay, worker_queue: RecordingWorkerQueue, others: Others
) -> None:
    stopped = Stopped()
    async with (
        FirstStarts(stopped, relay) as first_starts,
        BatchingRunWriter(database, relay, RunNews(others.neighbours.news), first_starts) as writer,
    ):
        await eventually(lambda: relay.claimed_by_for_new_rows() is not None)
        held = await writer.create(a_run())
        await stopped.begun.wait()
        behind = await writer.create(a_run())
        started_ids = {str(held), str(behind)}
        await eventually(lambda: len(worker_queue.of_kind("startRun")) == 2)
        sent = worker_queue.of_kind("startRun")
        assert {str(each.args, "utf-8")[10:46] for each in sent} == started_ids
        stopped.go_on.set()


async def test_a_process_that_ends_before_the_start_leaves_it_to_the_worker_queue(
    database: Database, worker_queue: RecordingWorkerQueue, others: Others
) -> None:
    run = a_run()
    async with OutboxRelay(database, "runs", RecordingWorkerQueue(), instance="dies") as relay:
        first_starts = FirstStarts(Stopped(), relay)
        news = RunNews(others.neighbours.news)
        async with BatchingRunWriter(database, relay, news, first_starts) as writer:
            await eventually(lambda: relay.claimed_by_for_new_rows() is not None)
            run_id = await writer.create(run)
        assert await outbox_kinds(database, run) == ["startRun"]
    # The same name again: what it had claimed is released as it begins.
    async with OutboxRelay(database, "runs", worker_queue, instance="dies"):
        await worker_queue.wait_for("startRun")
    worker_queue.assert_enqueued("startRun", runId=str(run_id))
