"""New runs are stored as started ones; where that cannot be, their start is queued."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import Operation
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_canceller import PostgresRunCanceller
from kongflow_runs.adapters.run_news import RUN_COMPLETED, RunNews
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.adapters.start_planner import TimelyStartPlanner
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.application.start_run import PlanStarts
from kongflow_runs.domain.errors import RunPlaceTaken
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import StartedAs
from services.runs.tests.conftest import TRACEPARENT, a_run
from services.runs.tests.integration.test_run_log import RecordingLog
from services.runs.tests.neighbours import Others, a_version, an_environment


@pytest.fixture
async def planner(others: Others) -> AsyncIterator[TimelyStartPlanner]:
    async with TimelyStartPlanner(PlanStarts(others, others)) as planner:
        yield planner


@pytest.fixture
async def create_run(
    writer: BatchingRunWriter, relay: OutboxRelay, planner: TimelyStartPlanner
) -> CreateRun:
    """The use case that plans starts, as main puts it together."""
    # While the relay has not looked into the table, what is new waits there for it.
    await eventually(lambda: relay.claimed_by_for_new_rows() is not None)
    return CreateRun(writer, planner)


async def states(database: Database, *like: NewRun) -> list[tuple[str, int | None]]:
    """State and number of all runs of the same environments, by their numbers."""
    rows = await database.pool.execute(
        "SELECT status, number FROM runs.job_runs"
        " WHERE environment_id = ANY(%(environments)b) ORDER BY number, job_id",
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


async def row(database: Database, run: NewRun) -> dict[str, Any]:
    """A run as it is stored, its times as whether they are there."""
    [(document,)] = await database.pool.execute(
        "SELECT to_jsonb(run) FROM runs.job_runs run WHERE id = %(id)b", {"id": run.id}
    )
    return {
        name: value is not None if name.endswith("_at") else value
        for name, value in document.items()
    }


async def test_a_new_run_is_stored_as_a_started_one(
    database: Database, create_run: CreateRun, worker_queue: RecordingWorkerQueue
) -> None:
    run = a_run()
    assert await create_run(run) == run.id
    assert await states(database, run) == [("QUEUED", 1)]
    await worker_queue.wait_for("performRunExecution")
    message = worker_queue.assert_enqueued("performRunExecution", runId=str(run.id))
    assert message.traceparent == TRACEPARENT
    assert message.environment_id == run.environment_id

    async def outbox_is_empty() -> bool:
        return not await outbox_kinds(database, run)

    await eventually(outbox_is_empty)
    assert worker_queue.of_kind("startRun") == []


@pytest.mark.parametrize(
    "others",
    [
        Others(),
        Others(version=a_version(preprocess=True)),
        Others(version=None),
        Others(version=a_version(active=False)),
        Others(version=a_version(hosted_integrations=True)),
        Others(environment=an_environment(runs_enabled=False)),
        Others(environment=None),
    ],
)
async def test_it_is_the_row_that_its_queued_start_would_have_made(
    database: Database,
    writer: BatchingRunWriter,
    relay: OutboxRelay,
    planner: TimelyStartPlanner,
    others: Others,
    worker_queue: RecordingWorkerQueue,
) -> None:
    others.interest = FixedInterest(*(type_.name for type_ in RUN_COMPLETED.values()))
    news = RunNews(others.neighbours.news)
    at_once = replace(a_run(), version_id=new_id(), external_account_id=new_id(), is_test=True)
    queued = replace(at_once, id=new_id(), event_record_id=new_id(), project_id=new_id())
    async with BatchingRunWriter(database, relay, news) as listening:
        await CreateRun(listening, planner)(at_once)
    await CreateRun(writer)(queued)
    starter = PostgresRunStarter(database, relay, news)
    pending = await starter.pending(queued.environment_id, [queued.id])
    [plan] = await PlanStarts(others, others)(pending)
    await starter.start(queued.environment_id, [(plan, TRACEPARENT)])
    its_own = {name: str(getattr(at_once, name)) for name in ("id", "event_record_id")}
    its_own["project_id"] = str(at_once.project_id)
    assert await row(database, at_once) == {**await row(database, queued), **its_own}

    def followed(run: NewRun) -> list[tuple[str, str, str]]:
        return [
            (each.kind, each.job_key.replace(str(run.id), "run"), each.traceparent)
            for each in worker_queue.messages
            if str(run.id).encode() in each.args and each.kind != "startRun"
        ]

    if plan.state is not RunState.WAITING_ON_CONNECTIONS:
        await eventually(lambda: len(followed(queued)) == 1 == len(followed(at_once)))
    assert followed(at_once) == followed(queued)


async def test_what_cannot_be_planned_goes_by_the_worker_queue(
    database: Database, create_run: CreateRun, worker_queue: RecordingWorkerQueue, others: Others
) -> None:
    others.away = True
    run = a_run()
    run_id = await create_run(run)
    await worker_queue.wait_for("startRun")
    message = worker_queue.assert_enqueued("startRun", runId=str(run_id))
    assert message.traceparent == TRACEPARENT
    assert await states(database, run) == [("PENDING", None)]


async def test_a_run_that_is_there_already_takes_no_number(
    database: Database, create_run: CreateRun, worker_queue: RecordingWorkerQueue
) -> None:
    run = a_run()
    first = await create_run(run)
    assert await create_run(a_run(like=run)) == first
    another = replace(run, id=new_id(), event_record_id=new_id())
    assert await create_run(another) == another.id
    assert await states(database, run) == [("QUEUED", 1), ("QUEUED", 2)]
    await worker_queue.wait_for("performRunExecution", 2)
    assert len(worker_queue.of_kind("performRunExecution")) == 2


async def test_new_runs_beside_one_that_is_there_are_created_all_the_same(
    database: Database, create_run: CreateRun, worker_queue: RecordingWorkerQueue
) -> None:
    run = a_run()
    first = await create_run(run)
    another = replace(run, id=new_id(), event_record_id=new_id())
    stranger = replace(run, id=new_id(), environment_id=new_id())
    again, created, refused = await create_run.many([a_run(like=run), another, stranger])
    assert (again, created) == (first, another.id)
    assert isinstance(refused, RunPlaceTaken)
    await worker_queue.wait_for("startRun")
    worker_queue.assert_enqueued("startRun", runId=str(another.id))
    assert await states(database, run) == [("QUEUED", 1), ("PENDING", None)]


async def test_one_place_twice_in_a_call_is_one_run(
    database: Database, create_run: CreateRun
) -> None:
    run = a_run()
    answers = await create_run.many([run, a_run(like=run)])
    assert answers[0] == answers[1]
    assert len(await states(database, run)) == 1


async def test_planned_runs_and_others_share_a_batch(
    database: Database, writer: BatchingRunWriter, worker_queue: RecordingWorkerQueue
) -> None:
    planned, unplanned = a_run(), a_run()
    plan = StartedAs(planned.id, RunState.QUEUED, a_version())
    created = await writer.create_many([(unplanned, None), (planned, plan)])
    assert created == [(unplanned.id, RunState.PENDING), (planned.id, RunState.QUEUED)]
    await worker_queue.wait_for("startRun")
    worker_queue.assert_enqueued("startRun", runId=str(unplanned.id))
    assert await states(database, planned, unplanned) == [("QUEUED", 1), ("PENDING", None)]


async def test_runs_of_many_environments_are_numbered_by_their_jobs_in_their_order(
    database: Database, create_run: CreateRun
) -> None:
    one, other = a_run(), a_run()
    runs = [replace(run, id=new_id(), event_record_id=new_id()) for run in (one, other) * 3]
    assert await create_run.many(runs) == [run.id for run in runs]
    later = [replace(run, id=new_id(), event_record_id=new_id()) for run in (one, other) * 2]
    assert await create_run.many(later[::-1]) == [run.id for run in later[::-1]]
    rows = await database.pool.execute(
        "SELECT id, number FROM runs.job_runs WHERE environment_id = ANY(%(environments)b)",
        {"environments": array_parameter("uuid", [one.environment_id, other.environment_id])},
    )
    numbers = dict(rows)
    assert [numbers[run.id] for run in runs] == [1, 1, 2, 2, 3, 3]
    assert [numbers[run.id] for run in later] == [4, 4, 5, 5]


async def test_writers_that_race_make_each_run_once_and_numbers_without_gaps(
    database: Database,
    writer: BatchingRunWriter,
    relay: OutboxRelay,
    planner: TimelyStartPlanner,
    others: Others,
) -> None:
    like = a_run()
    jobs = [new_id() for _ in range(5)]
    runs = [
        replace(like, id=new_id(), event_record_id=new_id(), job_id=job_id)
        for _ in range(8)
        for job_id in jobs
    ]
    async with BatchingRunWriter(database, relay, writer._news) as other:
        answers = await asyncio.gather(
            *(
                CreateRun(each, planner).many([a_run(like=run) for run in part])
                for start in range(0, len(runs), 10)
                for each, part in (
                    (writer, runs[start : start + 10]),
                    (other, runs[start : start + 10][::-1]),
                )
            )
        )
    created = [run_id for answer in answers for run_id in answer]
    assert len(created) == 2 * len(runs)
    assert len(set(created)) == len(runs)
    # Those that one of them left pending are started as the worker queue would have it.
    starter = PostgresRunStarter(database, relay, writer._news)
    ids = [run_id for run_id in set(created) if not isinstance(run_id, Exception)]
    plans = await PlanStarts(others, others)(await starter.pending(like.environment_id, ids))
    await starter.start(like.environment_id, [(plan, TRACEPARENT) for plan in plans])
    assert await states(database, like) == [
        ("QUEUED", number) for number in range(1, 9) for _ in jobs
    ]


async def test_a_run_that_ends_at_its_start_is_logged_as_created_first(
    database: Database, create_run: CreateRun, others: Others, worker_queue: RecordingWorkerQueue
) -> None:
    await database.pool.execute("TRUNCATE runs.published_events")
    others.version = None
    runs = [a_run() for _ in range(3)]
    await create_run.many(runs)
    assert await states(database, *runs) == [("FAILURE", None)] * 3
    log = RecordingLog()
    await EventShipper(database, "runs", log).once()
    for run in runs:
        assert [type_ for type_, _ in log.of(run.id)] == ["run.created", "run.completed.failure"]
    assert list(log.events) == sorted(log.events)
    assert worker_queue.of_kind(PUBLISH) == [], "nobody consumes it"


async def test_a_run_that_is_cancelled_at_once_is_not_executed(
    database: Database,
    create_run: CreateRun,
    writer: BatchingRunWriter,
    relay: OutboxRelay,
    worker_queue: RecordingWorkerQueue,
) -> None:
    run = a_run()
    await create_run(run)
    canceller = PostgresRunCanceller(database, relay, writer._news)
    assert await canceller.cancel(run.environment_id, [run.id]) == [run.id]
    await worker_queue.wait_for("performRunExecution", 2)
    sent = [message.operation for message in worker_queue.of_kind("performRunExecution")]
    assert sent == [Operation.ENQUEUE, Operation.REMOVE]


async def test_a_process_that_ends_after_the_commit_leaves_the_execution_in_its_outbox(
    database: Database,
    worker_queue: RecordingWorkerQueue,
    planner: TimelyStartPlanner,
    others: Others,
) -> None:
    run = a_run()
    away = RecordingWorkerQueue()
    async with OutboxRelay(database, "runs", away, instance="dies") as relay:
        async with BatchingRunWriter(database, relay, RunNews(others.neighbours.news)) as writer:
            await eventually(lambda: relay.claimed_by_for_new_rows() is not None)
            away.fail_with(DependencyUnavailable("workerqueue"))
            await CreateRun(writer, planner)(run)
        assert await outbox_kinds(database, run) == ["performRunExecution"]
    assert not away.messages
    # The same name again: what it had claimed is released as it begins.
    async with OutboxRelay(database, "runs", worker_queue, instance="dies"):
        await worker_queue.wait_for("performRunExecution")
    message = worker_queue.assert_enqueued("performRunExecution", runId=str(run.id))
    assert orjson.loads(message.args) == {"runId": str(run.id)}
