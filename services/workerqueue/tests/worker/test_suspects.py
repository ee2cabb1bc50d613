"""Jobs that may have ended their target run alone; only one that does it alone is set aside."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.worker.suspects import LARGEST_GROUP
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.target_process import TargetProcess, target_process
from services.workerqueue.tests.worker.tasks_server import Gate, TasksServer

pytestmark = [pytest.mark.faults]

QUIET = 0.3
BY = Intervention("operator", "ops", "op-1", None)


async def test_a_job_that_ends_its_target_each_time_is_set_aside_and_the_others_finish(
    queue: QueueUnderTest, tmp_path: Path
) -> None:
    poison = deliver_event(event="poison")
    others = [deliver_event() for _ in range(200)]
    async with target_process(tmp_path / "calls") as target:
        settings = queue.settings({"events": target.address}, suspect_quiet_seconds=QUIET)
        async with running(settings), running(settings):
            await queue.enqueue([*others[:100], poison, *others[100:]])
            await eventually(lambda: _states_are(queue, completed=200, discarded=1), deadline=60)
        alone = [call for call in target.begun() if call == ["poison"]]
        assert len(alone) == 3
        # The first among others, perhaps one in a group of suspects, and three alone.
        assert target.deaths in {4, 5}
    row = await queue.row(poison.id)
    assert row["attempt"] == 0
    assert row["errors"][-1]["status"]["message"].startswith("JOB_SET_ASIDE: 3 times")
    assert await _attempts(queue) == {0: 1, 1: 200}


async def test_three_deaths_of_a_target_set_none_of_the_jobs_in_flight_aside(
    queue: QueueUnderTest, tmp_path: Path
) -> None:
    async with target_process(tmp_path / "calls") as target:
        settings = queue.settings(
            {"events": target.address}, suspect_quiet_seconds=QUIET, worker_slots={"events": 500}
        )
        async with running(settings):
            await queue.enqueue([deliver_event() for _ in range(500)])
            await eventually(lambda: sum(map(len, target.begun())) >= 500, deadline=30)
            calls_until_suspected = len(target.begun())
            target.kill()
            await eventually(lambda: _suspects(queue, 500), deadline=30)
            for _ in range(2):
                begun = len(target.begun())
                await eventually(partial(_has_begun, target, begun + 3), deadline=30)
                target.kill()
            await eventually(lambda: queue.all_completed(500), deadline=60)
        assert target.deaths == 3
        # Whoever was lost has been called apart, the first alone.
        sizes = [len(call) for call in target.begun()[calls_until_suspected:]]
        assert sizes[0] == 1
        assert max(sizes) <= LARGEST_GROUP
    assert await _attempts(queue) == {1: 500}


async def test_what_a_target_drops_as_it_is_told_to_end_is_not_suspected(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    target.on_call = gate = Gate()
    job = deliver_event()
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([job])
        await eventually(gate.entered.is_set)
        await target.stop()
        await eventually(lambda: _waits_for(queue, job.id, "target:events"))
        assert (await queue.row(job.id))["suspicion"] == 0


async def test_a_suspect_that_runs_for_long_does_not_keep_the_next_one_waiting(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    target.on_call = gate = Gate()
    jobs = [deliver_event() for _ in range(2)]
    settings = queue.settings({"events": target.address}, suspect_quiet_seconds=QUIET)
    await queue.ledger.insert(jobs)
    await _suspect(queue)
    async with running(settings):
        await eventually(lambda: len(target.received) == 1, deadline=10)
        await eventually(lambda: len(target.received) == 2, deadline=10)
        [(apart,)] = await queue.database.pool.execute(
            "SELECT max(alone_at) - min(alone_at) FROM workerqueue.queued_jobs"
        )
        assert apart.total_seconds() >= 2
        gate.open()
        await eventually(lambda: queue.all_completed(2))
    assert target.batch_sizes == [1, 1]


async def test_a_suspect_of_a_paused_queue_waits_until_it_is_resumed(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    """Another queue's suspect of the same target passes it meanwhile."""
    paused, other = deliver_event(), replace(deliver_event(), queue="default")
    await queue.ledger.insert([paused, other])
    await _suspect(queue)
    await queue.operators.set_paused(paused.queue, BY, paused=True)
    settings = queue.settings({"events": target.address}, suspect_quiet_seconds=QUIET)
    async with running(settings):
        await eventually(lambda: _states_are(queue, completed=1, scheduled=1), deadline=10)
        assert (await queue.row(paused.id))["state"] == "scheduled"
        await queue.operators.set_paused(paused.queue, BY, paused=False)
        await eventually(lambda: queue.all_completed(2), deadline=10)
    assert target.batch_sizes == [1, 1]


async def test_an_orderly_end_finishes_the_suspect_that_runs(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    target.on_call = gate = Gate()
    await queue.ledger.insert([deliver_event()])
    await _suspect(queue)
    settings = queue.settings({"events": target.address}, suspect_quiet_seconds=QUIET)
    async with running(settings):
        await eventually(gate.entered.is_set)
        asyncio.get_running_loop().call_later(0.5, gate.open)
    assert await queue.states() == {"completed": 1}
    assert [job.envelope.fencing_token for job in target.received] == [2]


async def test_an_operator_makes_a_suspect_run_no_other_way(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    """It is available then, and still not called among others."""
    jobs = [deliver_event() for _ in range(3)]
    await queue.ledger.insert(jobs)
    await queue.database.pool.execute("UPDATE workerqueue.queued_jobs SET suspicion = 2")
    settings = queue.settings({"events": target.address}, suspect_quiet_seconds=QUIET)
    async with running(settings):
        await eventually(lambda: queue.all_completed(3))
    assert target.batch_sizes == [1, 1, 1]


def _has_begun(target: TargetProcess, calls: int) -> bool:
    return len(target.begun()) >= calls


async def _suspect(queue: QueueUnderTest) -> None:
    await queue.database.pool.execute(
        "UPDATE workerqueue.queued_jobs SET state = 'scheduled', suspicion = 1,"
        " waiting_for = 'alone:events'"
    )


async def _states_are(queue: QueueUnderTest, **states: int) -> bool:
    return await queue.states() == states


async def _suspects(queue: QueueUnderTest, count: int) -> bool:
    rows = await queue.database.pool.execute(
        "SELECT 1 FROM workerqueue.queued_jobs WHERE suspicion > 0"
    )
    return len(rows) == count


async def _waits_for(queue: QueueUnderTest, job_id: UUID, waiting_for: str) -> bool:
    row = await queue.row(job_id)
    return bool(row["waiting_for"] == waiting_for)


async def _attempts(queue: QueueUnderTest) -> dict[int, int]:
    return dict(
        await queue.database.pool.execute(
            "SELECT attempt, count(*) FROM workerqueue.queued_jobs GROUP BY attempt"
        )
    )
