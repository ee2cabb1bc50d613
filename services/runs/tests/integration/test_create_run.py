"""One run per event record, dispatcher and job, with its queued start in the same transaction."""

import asyncio
from dataclasses import replace

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_writer import START_RUN, BatchingRunWriter
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.domain.errors import RunPlaceTaken
from services.runs.tests.conftest import TRACEPARENT, a_run


async def test_a_run_is_stored_with_its_queued_start(
    writer: BatchingRunWriter, worker_queue: RecordingWorkerQueue
) -> None:
    run = a_run()
    assert await CreateRun(writer)(run) == run.id
    await eventually(lambda: len(worker_queue.messages) == 1)
    worker_queue.assert_enqueued(START_RUN, runId=str(run.id))
    message = worker_queue.messages[0]
    assert message.traceparent == TRACEPARENT
    assert message.environment_id == run.environment_id


async def test_repeats_at_once_make_one_run(
    writer: BatchingRunWriter, database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    first = a_run()
    repeats = [first, *(a_run(like=first) for _ in range(49))]
    ids = await CreateRun(writer).many(repeats)
    assert len(set(ids)) == 1
    again = await CreateRun(writer)(a_run(like=first))
    assert again == ids[0]
    rows = await database.pool.execute(
        "SELECT count(*) FROM runs.job_runs WHERE event_record_id = %s", (first.event_record_id,)
    )
    assert rows == [(1,)]
    await eventually(lambda: len(worker_queue.messages) >= 1)
    starts = await database.pool.execute("SELECT count(*) FROM runs.outbox")
    assert len(worker_queue.messages) + starts[0][0] <= 2  # sent, and perhaps not yet deleted
    assert {message.args for message in worker_queue.messages} == {worker_queue.messages[0].args}


async def test_two_writers_that_race_make_one_run(
    database: Database, writer: BatchingRunWriter, relay: OutboxRelay
) -> None:
    other = BatchingRunWriter(database, relay, writer._news)
    runs = [a_run() for _ in range(20)]
    answers = await asyncio.gather(
        CreateRun(writer).many(runs),
        CreateRun(other).many([a_run(like=run) for run in reversed(runs)]),
    )
    await other.__aexit__(None, None, None)
    assert set(answers[0]) == set(answers[1])
    assert len(set(answers[0])) == len(runs)


async def test_the_place_of_another_environment_is_refused(writer: BatchingRunWriter) -> None:
    run = a_run()
    await CreateRun(writer)(run)
    with pytest.raises(RunPlaceTaken):
        await CreateRun(writer)(replace(run, id=new_id(), environment_id=new_id()))
