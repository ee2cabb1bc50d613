"""Workers whose clocks are ten minutes apart, and periodic jobs at real workers."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import resources
from pathlib import Path

import pytest

from kongflow_common.testing.polling import eventually
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Gate, TasksServer
from services.workerqueue.tests.worker.worker_process import WorkerProcess, worker_process

pytestmark = [pytest.mark.faults]

ROOT = Path(__file__).parents[4]
FIVE_MINUTES = 300.0

CLOCKWORK = """
syntax = "proto3";
package clockwork;
import "kongflow/workerqueue/v1/job_options.proto";
service ClockworkTasksService {
  rpc Strike(StrikeRequest) returns (StrikeResponse) {
    option (kongflow.workerqueue.v1.job) = {
      kind: "clockwork.strike"
      queue: "maintenance"
      periodic: {name: "bell" cron: "* * * * *"}
    };
  }
}
message StrikeRequest {}
message StrikeResponse {}
"""


@pytest.fixture(scope="module")
def clockwork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The descriptor set of a target that declares a periodic job."""
    folder = tmp_path_factory.mktemp("clockwork")
    (folder / "clockwork.proto").write_text(CLOCKWORK)
    descriptor_set = folder / "clockwork.binpb"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "--include_imports"),
            *(f"-I{folder}", f"-I{ROOT / 'protos'}"),
            f"-I{resources.files('grpc_tools') / '_proto'}",
            *(f"--descriptor_set_out={descriptor_set}", "clockwork.proto"),
        ],
        check=True,
    )
    return descriptor_set


@pytest.fixture
async def no_periodic_jobs(queue: QueueUnderTest) -> AsyncIterator[None]:
    yield
    await queue.database.pool.execute("TRUNCATE workerqueue.periodic_jobs, workerqueue.duties")


@pytest.fixture
def workers(
    queue: QueueUnderTest, target: TasksServer, clockwork: Path, tmp_path: Path
) -> Iterator[list[WorkerProcess]]:
    """One is five minutes ahead of the database, one behind."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                worker_process(
                    queue,
                    {"events": target.address},
                    tmp_path / f"log{ahead}",
                    ahead_seconds=ahead,
                    KONGFLOW_TASK_DESCRIPTOR_SETS=f'{{"clockwork": "{clockwork}"}}',
                )
            )
            for ahead in (FIVE_MINUTES, -FIVE_MINUTES)
        ]


async def _are_working(workers: list[WorkerProcess]) -> None:
    for worker in workers:
        await eventually(partial(worker.has_logged, "worker registered"), deadline=30)


async def test_clocks_apart_neither_start_early_nor_take_what_another_runs(
    queue: QueueUnderTest, target: TasksServer, workers: list[WorkerProcess]
) -> None:
    await _are_working(workers)
    target.on_call = gate = Gate()
    due_at = datetime.now(UTC) + timedelta(seconds=3)
    later = [deliver_event(run_at=due_at) for _ in range(20)]
    now = [deliver_event() for _ in range(20)]
    await queue.enqueue([*now, *later])
    await eventually(lambda: len(target.received) == 20)
    # Longer than a lease: who renews late by somebody's clock is not taken for dead.
    held_until = time.monotonic() + 8
    await eventually(lambda: time.monotonic() > held_until, deadline=15)
    assert set(target.ids()[:20]) == {str(job.id) for job in now}
    gate.open()
    await eventually(lambda: queue.all_completed(40), deadline=20)
    assert Counter(target.ids()).most_common(1)[0][1] == 1
    rows = await queue.database.pool.execute(
        "SELECT count(*) FILTER (WHERE attempted_at < run_at), sum(lapses), max(attempt)"
        " FROM workerqueue.queued_jobs"
    )
    assert rows == [(0, 0, 1)]


@pytest.mark.usefixtures("no_periodic_jobs")
async def test_clocks_apart_have_each_moment_of_the_databases_clock_once(
    queue: QueueUnderTest, workers: list[WorkerProcess]
) -> None:
    await _are_working(workers)
    await eventually(lambda: _bell(queue), deadline=10)
    # Neither of them has its minute before the database has.
    for moment in range(1, 4):
        await _ring(queue)
        await eventually(partial(_has_struck, queue, moment), deadline=10)
        [(ahead,)] = await queue.database.pool.execute(
            "SELECT next_at - now() FROM workerqueue.periodic_jobs WHERE name = 'bell'"
        )
        assert timedelta() < ahead <= timedelta(minutes=1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.usefixtures("no_periodic_jobs")
async def test_the_duties_of_a_worker_that_is_gone_are_taken_over_within_ten_seconds(
    queue: QueueUnderTest,
    target: TasksServer,
    clockwork: Path,
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    """There is no leader to be elected: whoever comes next takes the turn."""
    targets = {"events": target.address}
    sets = {"clockwork": clockwork}
    with worker_process(
        queue,
        targets,
        tmp_path / "log",
        KONGFLOW_TASK_DESCRIPTOR_SETS=f'{{"clockwork": "{clockwork}"}}',
    ) as first:
        # It does all of the duties, as the only one.
        await eventually(lambda: _bell(queue), deadline=30)
        async with running(queue.settings(targets, task_descriptor_sets=sets)):
            first.signal(how)
            gone_at = time.monotonic()
            await _ring(queue)
            await queue.enqueue([deliver_event(run_at=datetime.now(UTC) + timedelta(seconds=1))])
            await eventually(lambda: _has_struck(queue, 1), deadline=10)
            await eventually(lambda: len(target.received) == 1, deadline=10)
            assert time.monotonic() - gone_at < 10


async def _bell(queue: QueueUnderTest) -> bool:
    return bool(
        await queue.database.pool.execute(
            "SELECT 1 FROM workerqueue.periodic_jobs WHERE name = 'bell'"
        )
    )


async def _ring(queue: QueueUnderTest) -> None:
    """Makes it strike now, and no other periodic job."""
    await queue.database.pool.execute(
        "UPDATE workerqueue.periodic_jobs SET next_at = now() WHERE name = 'bell'"
    )


async def _has_struck(queue: QueueUnderTest, count: int) -> bool:
    rows = await queue.database.pool.execute(
        "SELECT 1 FROM workerqueue.queued_jobs WHERE kind = 'clockwork.strike'"
    )
    assert len(rows) <= count
    return len(rows) == count
