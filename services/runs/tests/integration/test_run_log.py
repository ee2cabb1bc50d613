"""Every run's end comes into the log, whoever consumes it or does not."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import orjson
import pytest

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.domain.errors import OutdatedTurn
from kongflow_runs.domain.execution import ended_with
from kongflow_runs.domain.run import RunState
from kongflow_runs.domain.start import StartedAs
from services.runs.tests.conftest import TRACEPARENT, a_run
from services.runs.tests.integration.test_run_news import SUCCESS, TURN, Scene, told
from services.runs.tests.neighbours import a_version


class RecordingLog:
    """An EventLog in memory, which may fail after it has taken something."""

    def __init__(self) -> None:
        self.events: dict[str, pb.PublishedEvent] = {}
        self.calls = 0
        self.fails = False

    def of(self, run_id: UUID) -> list[tuple[str, object]]:
        """What happened to a run: types with their data."""
        return [
            (event.type, orjson.loads(event.data))
            for event in self.events.values()
            if event.resource_id == str(run_id)
        ]

    async def record(self, events: Sequence[pb.PublishedEvent]) -> None:
        self.calls += 1
        self.events |= {event.id: event for event in events}
        if self.fails:
            raise DependencyUnavailable("events")


@pytest.fixture
def scene(database: Database, relay: OutboxRelay, writer: BatchingRunWriter) -> Scene:
    return Scene(database, relay, writer)


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
async def shipper(database: Database, log: RecordingLog) -> EventShipper:
    await database.pool.execute("TRUNCATE runs.published_events")
    return EventShipper(database, "runs", log)


async def without_beginnings(database: Database) -> None:
    """Forget what was published so far: that runs were created, and have started."""
    await database.pool.execute("TRUNCATE runs.published_events")


async def test_a_run_is_created_once_and_starts_once(
    scene: Scene, shipper: EventShipper, log: RecordingLog, writer: BatchingRunWriter
) -> None:
    run = await scene.created()
    # Who creates it again gets the one that is there.
    assert await CreateRun(writer)(replace(run, id=new_id())) == run.id
    await shipper.once()
    assert log.of(run.id) == [
        (
            "run.created",
            {
                "jobId": str(run.job_id),
                "eventRecordId": str(run.event_record_id),
                "dispatcherId": str(run.dispatcher_id),
            },
        )
    ]
    plan = StartedAs(run.id, RunState.QUEUED, a_version())
    await scene.starter.start(run.environment_id, [(plan, TRACEPARENT)])
    for token in (TURN.token, TURN.token + 1):
        turn = replace(TURN, token=token)
        assert await scene.executions.begin(run.environment_id, run.id, turn) is not None
    with pytest.raises(OutdatedTurn):
        await scene.executions.begin(run.environment_id, run.id, TURN)
    assert await scene.executions.begin(new_id(), run.id, TURN) is None
    await shipper.once()
    assert log.of(run.id)[1:] == [("run.started", {"queuedJobId": str(TURN.queued_job_id)})]
    assert len(log.events) == 2


async def test_a_run_that_was_called_by_name_has_no_dispatcher(
    shipper: EventShipper, log: RecordingLog, writer: BatchingRunWriter
) -> None:
    run = replace(a_run(), dispatcher_id=None, request_id="r1")
    await CreateRun(writer)(run)
    await shipper.once()
    [(_, data)] = log.of(run.id)
    assert data == {"jobId": str(run.job_id), "eventRecordId": str(run.event_record_id)}


async def test_runs_that_are_created_together_are_one_row(
    shipper: EventShipper, database: Database, writer: BatchingRunWriter, log: RecordingLog
) -> None:
    runs = [a_run() for _ in range(50)]
    await CreateRun(writer).many(runs)
    [(rows,)] = await database.pool.execute("SELECT count(*) FROM runs.published_events")
    # The first does not wait for the others.
    assert rows <= 2
    await shipper.once()
    assert {event.resource_id for event in log.events.values()} == {str(run.id) for run in runs}


async def test_an_executed_run_is_logged_although_nobody_consumes_it(
    scene: Scene, shipper: EventShipper, log: RecordingLog, worker_queue: RecordingWorkerQueue
) -> None:
    scene.interest.types.clear()
    run = await scene.executing()
    await without_beginnings(scene.database)
    assert await scene.executions.finish(run, TURN, SUCCESS, 12)
    assert not await scene.executions.finish(run, TURN, SUCCESS, 12)
    assert await shipper.once() == 1
    [event] = log.events.values()
    assert (event.type, event.resource_id) == ("run.completed.success", str(run.id))
    assert event.environment_id == str(run.environment_id)
    assert event.data == b'{"state":"SUCCESS","jobSlug":"order","jobVersion":"1.0.0"}'
    assert await shipper.once() == 0
    assert not told(worker_queue)


async def test_it_is_logged_under_the_id_it_is_published_with(
    scene: Scene, shipper: EventShipper, log: RecordingLog, worker_queue: RecordingWorkerQueue
) -> None:
    run = await scene.executing()
    await without_beginnings(scene.database)
    await scene.executions.finish(run, TURN, SUCCESS, 12)
    await shipper.once()

    async def published() -> list[str]:
        return [event["id"] for event in told(worker_queue)]

    assert await eventually(published) == list(log.events)


async def test_a_run_that_fails_is_cancelled_or_ends_at_its_start_is_logged(
    scene: Scene, shipper: EventShipper, log: RecordingLog
) -> None:
    failed = await scene.created()
    assert await scene.executions.fail(
        failed.environment_id, failed.id, ended_with(RunState.FAILURE, "no")
    )
    assert not await scene.executions.fail(
        failed.environment_id, failed.id, ended_with(RunState.FAILURE, "no")
    )
    aborted = await scene.created()
    plan = StartedAs(aborted.id, RunState.ABORTED, a_version(), error="nothing to run")
    await scene.starter.start(aborted.environment_id, [(plan, TRACEPARENT)])
    cancelled = await scene.executing()
    await scene.canceller.cancel(cancelled.environment_id, [cancelled.id])
    await scene.canceller.cancel(cancelled.environment_id, [cancelled.id])
    await shipper.once()
    assert {
        (event.type, event.resource_id)
        for event in log.events.values()
        if event.type.startswith("run.completed.")
    } == {
        ("run.completed.failure", str(failed.id)),
        ("run.completed.aborted", str(aborted.id)),
        ("run.completed.canceled", str(cancelled.id)),
    }


async def test_what_the_log_did_not_confirm_is_sent_again(
    scene: Scene, shipper: EventShipper, log: RecordingLog
) -> None:
    run = await scene.executing()
    await without_beginnings(scene.database)
    await scene.executions.finish(run, TURN, SUCCESS, 12)
    log.fails = True
    with pytest.raises(DependencyUnavailable):
        await shipper.once()
    log.fails = False
    assert await shipper.once() == 1
    assert len(log.events) == 1
    assert log.calls == 2


async def test_what_one_statement_publishes_is_one_row_and_only_what_happened(
    scene: Scene, shipper: EventShipper, log: RecordingLog, database: Database
) -> None:
    first = await scene.created()
    ids = [first.id, *[await scene.another(first) for _ in range(599)]]
    await without_beginnings(database)
    plans = [
        (StartedAs(id_, RunState.ABORTED, a_version(), error="nothing to run"), TRACEPARENT)
        for id_ in [*ids, new_id()]
    ]
    await scene.starter.start(first.environment_id, plans)
    assert await database.pool.execute("SELECT count(*) FROM runs.published_events") == [(1,)]
    assert await shipper.once() == 1
    assert {event.resource_id for event in log.events.values()} == {str(id_) for id_ in ids}
    assert log.calls == 1, "they go together"
    await scene.starter.start(first.environment_id, plans)
    assert await shipper.once() == 0
