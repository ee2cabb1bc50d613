"""What the others are told of runs: written with the end of a run, or not at all."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from kongflow.events.v1 import integration_event_pb2
from kongflow.runs.tasks.v1 import runs_tasks_service_pb2
from kongflow_common.db.engine import Database
from kongflow_common.eventing.publisher import PUBLISH, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_canceller import PostgresRunCanceller
from kongflow_runs.adapters.run_executions import PostgresRunExecutions
from kongflow_runs.adapters.run_news import RUN_COMPLETED, RunNews
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.application.ports import ExecutionTurn
from kongflow_runs.domain.execution import Ended, ExecutingRun, TryAgain, ended_with
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import StartedAs
from services.runs.tests.conftest import TRACEPARENT, a_run
from services.runs.tests.neighbours import a_version

TURN = ExecutionTurn(new_id(), 3)
SUCCESS = Ended(RunState.SUCCESS, None)
FAILURE = ended_with(RunState.FAILURE, "no")


class Scene:
    """Runs, and the others who listen or do not."""

    def __init__(self, database: Database, relay: OutboxRelay, writer: BatchingRunWriter) -> None:
        self.interest = FixedInterest(*(type_.name for type_ in RUN_COMPLETED.values()))
        news = RunNews(EventPublisher(self.interest, FixedClock(), new_id))
        self.executions = PostgresRunExecutions(database, relay, news)
        self.starter = PostgresRunStarter(database, relay, news)
        self.canceller = PostgresRunCanceller(database, relay, news)
        self.database = database
        self._writer = writer

    async def created(self) -> NewRun:
        run = a_run()
        await CreateRun(self._writer)(run)
        return run

    async def another(self, run: NewRun) -> UUID:
        """Another run of the same job and environment."""
        run_id = new_id()
        await CreateRun(self._writer)(replace(run, id=run_id, dispatcher_id=new_id()))
        return run_id

    async def executing(self, turn: ExecutionTurn = TURN) -> ExecutingRun:
        """A run that is being executed in this turn."""
        run = await self.created()
        plan = StartedAs(run.id, RunState.QUEUED, a_version())
        await self.starter.start(run.environment_id, [(plan, TRACEPARENT)])
        executing = await self.executions.begin(run.environment_id, run.id, turn)
        assert executing is not None
        return executing


@pytest.fixture
def scene(database: Database, relay: OutboxRelay, writer: BatchingRunWriter) -> Scene:
    return Scene(database, relay, writer)


def told(queue: RecordingWorkerQueue) -> list[dict[str, Any]]:
    """The events that were published."""
    return [orjson.loads(message.args) for message in queue.of_kind(PUBLISH)]


async def test_the_end_of_an_execution_is_told_with_it(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    run = await scene.executing()
    assert await scene.executions.finish(run, TURN, SUCCESS, 12)
    [message] = await worker_queue.wait_for(PUBLISH)
    assert message.environment_id == run.environment_id
    [event] = told(worker_queue)
    assert (event["type"], event["version"]) == ("run.completed.success", 1)
    assert event["resourceId"] == str(run.id)
    version = a_version()
    assert event["data"] == {
        "state": "SUCCESS",
        "jobSlug": version.job_slug,
        "jobVersion": version.version,
    }


async def test_an_outdated_turn_tells_nothing(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    run = await scene.executing()
    older = replace(TURN, token=TURN.token - 1)
    assert not await scene.executions.finish(run, older, SUCCESS, 12)
    assert await scene.executions.finish(run, TURN, FAILURE, 12)
    assert not await scene.executions.finish(run, TURN, SUCCESS, 12)
    assert not await scene.executions.fail(run.environment_id, run.id, FAILURE)
    await worker_queue.wait_for(PUBLISH)
    await _nothing_waits(scene)
    assert [event["type"] for event in told(worker_queue)] == ["run.completed.failure"]


async def test_what_is_tried_again_has_not_ended(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    run = await scene.executing()
    assert await scene.executions.finish(run, TURN, TryAgain(500), 12)
    await _nothing_waits(scene)
    assert told(worker_queue) == []


async def test_a_run_whose_execution_was_given_up_is_told_of(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    run = await scene.executing()
    assert not await scene.executions.fail(new_id(), run.id, FAILURE)
    assert await scene.executions.fail(run.environment_id, run.id, FAILURE)
    await worker_queue.wait_for(PUBLISH)
    [event] = told(worker_queue)
    assert (event["type"], event["resourceId"]) == ("run.completed.failure", str(run.id))
    assert event["data"]["jobSlug"] == a_version().job_slug


async def test_a_run_that_ends_at_its_start_is_told_of_and_a_queued_one_is_not(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    run = await scene.created()
    plan = StartedAs(run.id, RunState.FAILURE, None, "not registered")
    for _ in range(2):
        await scene.starter.start(run.environment_id, [(plan, TRACEPARENT)])
    await scene.executing()
    [message] = await worker_queue.wait_for(PUBLISH)
    await _nothing_waits(scene)
    assert message.traceparent == TRACEPARENT
    [event] = told(worker_queue)
    assert (event["type"], event["resourceId"]) == ("run.completed.failure", str(run.id))
    assert event["data"] == {"state": "FAILURE"}


async def test_what_nobody_listens_to_is_not_written(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    scene.interest.types = {"run.completed.aborted"}
    finished, failed, started = (
        await scene.executing(),
        await scene.executing(),
        await scene.created(),
    )
    assert await scene.executions.finish(finished, TURN, SUCCESS, 12)
    assert await scene.executions.fail(failed.environment_id, failed.id, FAILURE)
    plan = StartedAs(started.id, RunState.FAILURE, None, "not registered")
    await scene.starter.start(started.environment_id, [(plan, TRACEPARENT)])
    await _nothing_waits(scene)
    assert told(worker_queue) == []


def test_the_types_are_those_that_the_service_declares() -> None:
    service = runs_tasks_service_pb2.DESCRIPTOR.services_by_name["RunsTasksService"]
    declared = service.GetOptions().Extensions[integration_event_pb2.publishes].types
    assert set(declared) == {type_.name for type_ in RUN_COMPLETED.values()}


async def _nothing_waits(scene: Scene) -> None:
    """The outbox is empty: what was written has been sent and is in the recording."""

    async def is_empty() -> bool:
        rows = await scene.database.pool.execute("SELECT count(*) FROM runs.outbox")
        return bool(rows[0][0] == 0)

    await eventually(is_empty)


async def test_a_run_that_is_cancelled_is_told_of_once(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    run, pending = await scene.executing(), await scene.created()
    assert await scene.canceller.cancel(run.environment_id, [run.id, pending.id]) == [run.id]
    assert await scene.canceller.cancel(pending.environment_id, [pending.id]) == [pending.id]
    assert not await scene.canceller.cancel(run.environment_id, [run.id])
    # What it would have stored finds it ended.
    assert not await scene.executions.finish(run, TURN, SUCCESS, 12)
    await worker_queue.wait_for(PUBLISH, 2)
    about = {event["resourceId"]: event["data"] for event in told(worker_queue)}
    assert about == {
        str(run.id): {"state": "CANCELED", "jobSlug": "order", "jobVersion": "1.0.0"},
        str(pending.id): {"state": "CANCELED"},
    }
    assert {event["type"] for event in told(worker_queue)} == {"run.completed.canceled"}


async def test_of_a_run_that_is_cancelled_nobody_is_told_who_does_not_listen(
    scene: Scene, worker_queue: RecordingWorkerQueue
) -> None:
    scene.interest.types.clear()
    run = await scene.executing()
    assert await scene.canceller.cancel(run.environment_id, [run.id])
    # What is sent later was written later.
    scene.interest.types.add(RUN_COMPLETED[RunState.CANCELED].name)
    last = await scene.created()
    await scene.canceller.cancel(last.environment_id, [last.id])
    await worker_queue.wait_for(PUBLISH)
    assert [event["resourceId"] for event in told(worker_queue)] == [str(last.id)]
