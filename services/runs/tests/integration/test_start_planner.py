"""Who creates runs waits for their plans for a moment at most."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.deadline import bind_deadline
from kongflow_common.testing.polling import eventually
from kongflow_runs.adapters.start_planner import TimelyStartPlanner
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import StartedAs
from services.runs.tests.conftest import a_run
from services.runs.tests.neighbours import a_version

RUNS = [a_run(), a_run()]
UNPLANNED = [None, None]


class Plans:
    """A PlanStarts that fails, or does not answer, as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.bad: UUID | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, runs: Sequence[NewRun]) -> Sequence[StartedAs]:
        self.asked += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        if self.bad in [run.id for run in runs]:
            raise ValueError("one of them")
        return [StartedAs(run.id, RunState.QUEUED, a_version()) for run in runs]


async def planned(planner: TimelyStartPlanner) -> bool:
    """Whether the runs were planned."""
    plans = await planner.plan(RUNS)
    assert [plan and plan.run_id for plan in plans] in ([run.id for run in RUNS], UNPLANNED)
    return plans != UNPLANNED


@pytest.fixture
def plans() -> Plans:
    return Plans()


@pytest.fixture
async def planner(plans: Plans) -> AsyncIterator[TimelyStartPlanner]:
    async with TimelyStartPlanner(plans, pause_seconds=0.3) as planner:
        yield planner


async def test_while_nobody_answers_it_asks_now_and_then_and_plans_again_afterwards(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.error = DependencyUnavailable("jobs")
    assert [await planned(planner) for _ in range(20)] == [False] * 20
    assert plans.asked == 1
    plans.error = None

    async def plans_again() -> bool:
        return await planned(planner)

    await eventually(plans_again)
    assert plans.asked == 2
    assert await planned(planner), "and does not pause any longer"


async def test_nobody_waits_beside_the_one_who_finds_out_whether_it_answers_again(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.error = DependencyUnavailable("jobs")
    await planner.plan(RUNS)
    plans.answers.clear()
    asking: list[asyncio.Task[Sequence[StartedAs | None]]] = []

    async def asks_again() -> bool:
        asking.append(asyncio.create_task(planner.plan(RUNS)))
        await asyncio.wait(asking, timeout=0.01)
        return plans.asked == 2

    await eventually(asks_again)
    assert not await planned(planner)
    assert plans.asked == 2
    plans.answers.set()
    await asyncio.gather(*asking)


async def test_an_answer_that_takes_long_is_not_waited_for(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.answers.clear()
    begun = time.monotonic()
    assert not await planned(planner)
    assert 0.4 < time.monotonic() - begun < 5.0
    assert not await planned(planner)
    assert plans.asked == 1


async def test_half_of_what_a_caller_has_is_left_for_storing(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.answers.clear()

    async def call() -> float:
        bind_deadline(0.6)
        begun = time.monotonic()
        assert not await planned(planner)
        return time.monotonic() - begun

    assert await asyncio.create_task(call()) < 0.45


async def test_what_is_wrong_with_some_runs_does_not_keep_others_from_being_planned(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.error = ValueError("a version that nobody can read")
    assert not await planned(planner)
    plans.error = None
    assert await planned(planner)


async def test_calls_that_wait_at_the_same_time_share_a_question(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.answers.clear()
    first = asyncio.create_task(planner.plan(RUNS[:1]))
    await eventually(lambda: plans.asked == 1)
    others = [asyncio.create_task(planner.plan([a_run() for _ in range(n)])) for n in (2, 0, 3)]
    await asyncio.sleep(0)
    plans.answers.set()
    answers = await asyncio.gather(first, *others)
    assert [len(answer) for answer in answers] == [1, 2, 0, 3]
    assert len({plan.run_id for answer in answers for plan in answer if plan}) == 6
    assert plans.asked == 2


async def test_what_is_wrong_with_a_call_is_not_its_neighbours_fault(
    plans: Plans, planner: TimelyStartPlanner
) -> None:
    plans.answers.clear()
    first = asyncio.create_task(planner.plan(RUNS[:1]))
    await eventually(lambda: plans.asked == 1)
    plans.bad = RUNS[1].id
    others = [asyncio.create_task(planner.plan([run])) for run in (a_run(), RUNS[1], a_run())]
    await asyncio.sleep(0)
    plans.answers.set()
    answers = await asyncio.gather(first, *others)
    assert [answer != [None] for answer in answers] == [True, True, False, True]
