"""Periodic jobs: each moment is had once, by whoever moves it on."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.adapters.ledger_periodic import PostgresPeriodicLedger
from kongflow_workerqueue.application.periodic_jobs import DeclaredPeriodicJob, PeriodicJob, Tick
from kongflow_workerqueue.application.steer_periodic_jobs import SteerPeriodicJobs
from kongflow_workerqueue.domain.errors import PeriodicJobNotFound
from kongflow_workerqueue.domain.limits import (
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    RateRule,
    limits_of,
)
from kongflow_workerqueue.domain.schedule import Schedule
from kongflow_workerqueue.domain.states import JobState, Priority
from kongflow_workerqueue.domain.uniqueness import Uniqueness
from kongflow_workerqueue.duties.tick_periodic_jobs import TickPeriodicJobs
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest
from services.workerqueue.tests.integration.limits_under_test import entries, sweep

FAR = datetime(2090, 1, 1, tzinfo=UTC)


def declared(name: str = "nightly", **options: Any) -> DeclaredPeriodicJob:
    fields: dict[str, Any] = {
        "name": name,
        "schedule": Schedule("30 2 * * *", "Europe/Berlin"),
        "kind": "purge",
        "args": b'{"olderThan": "30d"}',
        "queue": "maintenance",
        "priority": Priority.LOW,
        "max_attempts": 3,
    }
    return DeclaredPeriodicJob(**{**fields, **options})


@pytest.fixture
async def periodic(ledger: LedgerUnderTest) -> PostgresPeriodicLedger:
    await ledger.execute("TRUNCATE workerqueue.periodic_jobs")
    return PostgresPeriodicLedger(ledger.database)


def scheduler(
    periodic: PostgresPeriodicLedger, *jobs: DeclaredPeriodicJob
) -> tuple[TickPeriodicJobs, dict[str, int]]:
    filled: dict[str, int] = {}

    def note(jobs: Mapping[str, int]) -> None:
        for queue, count in jobs.items():
            filled[queue] = filled.get(queue, 0) + count

    return TickPeriodicJobs(periodic, jobs or (declared(),), new_id, note), filled


async def make_due(ledger: LedgerUnderTest, ago: timedelta = timedelta()) -> None:
    await ledger.execute("UPDATE workerqueue.periodic_jobs SET next_at = now() - %s", ago)


async def only(periodic: PostgresPeriodicLedger) -> PeriodicJob:
    [job] = await periodic.list(after="", limit=10)
    return job


async def test_a_new_one_waits_for_its_next_moment(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    tick, filled = scheduler(periodic)
    await tick.do()
    job = await only(periodic)
    assert job.next_at == job.schedule.next_after(await periodic.now())
    assert (job.kind, job.last_at, job.paused_at, filled) == ("purge", None, None, {})
    assert await ledger.ids() == []


async def test_a_moment_that_has_come_stores_a_job_as_it_was_declared(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    tick, filled = scheduler(periodic)
    await tick.declare()
    await make_due(ledger)
    due_at = (await only(periodic)).next_at
    await tick.do()
    await tick.do()
    job = await only(periodic)
    assert job.last_job_id is not None
    assert await ledger.ids() == [job.last_job_id]
    assert (job.last_at, filled) == (due_at, {"maintenance": 1})
    row = await ledger.row(job.last_job_id)
    assert (row["kind"], row["queue"], row["state"]) == ("purge", "maintenance", "available")
    assert (row["priority"], row["max_attempts"]) == (3, 3)
    assert (row["args"], row["metadata"]) == ({"olderThan": "30d"}, {"periodic_job": "nightly"})
    assert datetime.fromisoformat(row["run_at"]) == due_at


async def test_of_the_moments_that_were_missed_the_last_is_made_up_for(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    tick, _ = scheduler(periodic)
    await tick.declare()
    await make_due(ledger, ago=timedelta(days=5))
    await tick.do()
    assert len(await ledger.ids()) == 1
    assert (await only(periodic)).next_at > await periodic.now()


async def test_schedulers_that_race_have_each_moment_once(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    jobs = [declared(f"job-{number}", queue=f"queue-{number}") for number in range(20)]
    schedulers = [scheduler(periodic, *jobs) for _ in range(4)]
    await schedulers[0][0].declare()
    for moment in range(1, 11):
        await make_due(ledger)
        await asyncio.gather(*(tick.do() for tick, _ in schedulers))
        assert len(await ledger.ids()) == moment * len(jobs)
    assert sum(sum(filled.values()) for _, filled in schedulers) == 10 * len(jobs)


async def test_a_scheduler_that_comes_late_with_a_moment_stores_nothing(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    """It was stopped between asking and storing, and another one had the moment."""
    tick, _ = scheduler(periodic)
    await tick.declare()
    await make_due(ledger)
    [(job, now)] = await periodic.due(["nightly"], 10)
    await tick.do()
    late = Tick("nightly", job.next_at, job.schedule.next_after(now), new_id())
    assert await periodic.tick([late]) == {}
    assert len(await ledger.ids()) == 1


async def test_a_scheduler_whose_clock_is_ahead_stores_nothing_early(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    tick, _ = scheduler(periodic)
    await tick.declare()
    await make_due(ledger, ago=-timedelta(minutes=5))
    at = (await only(periodic)).next_at
    assert await periodic.tick([Tick("nightly", at, FAR, new_id())]) == {}
    await tick.do()
    assert await ledger.ids() == []


async def test_one_that_is_declared_anew_gets_its_new_moment_and_stays_paused(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    await periodic.declare([(declared(), FAR)])
    await periodic.pause("nightly", BY)
    soon = FAR - timedelta(days=1)
    await periodic.declare([(declared(args=b"{}"), soon)])
    assert (await only(periodic)).next_at == FAR
    await periodic.declare([(declared(schedule=Schedule("0 3 * * *")), soon)])
    job = await only(periodic)
    assert (job.next_at, job.schedule) == (soon, Schedule("0 3 * * *"))
    assert job.paused_at is not None


async def test_one_that_is_not_declared_any_more_is_left_alone(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    await scheduler(periodic)[0].declare()
    await make_due(ledger)
    other, _ = scheduler(periodic, declared("other"))
    await other.do()
    assert await ledger.ids() == []


async def test_a_unique_one_that_has_not_ended_is_not_stored_again(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    tick, filled = scheduler(periodic, declared(unique_key=new_id()))
    await tick.declare()
    for _ in range(2):
        await make_due(ledger)
        await tick.do()
    assert filled == {"maintenance": 1}
    assert await ledger.ids() == [(await only(periodic)).last_job_id]


async def test_one_that_is_unique_for_a_while_counts_after_its_end_and_no_longer(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    rule = Uniqueness(window=timedelta(hours=1), states=frozenset(JobState))
    tick, filled = scheduler(periodic, declared(unique_key=new_id(), unique=rule))
    await tick.declare()
    for stored, passed in ((1, "1 minute"), (1, "2 hours"), (2, "1 minute")):
        await make_due(ledger)
        await tick.do()
        assert filled == {"maintenance": stored}
        await ledger.execute(
            "UPDATE workerqueue.queued_jobs SET state = 'completed', finalized_at = now(),"
            " unique_until = unique_until - %s::interval",
            passed,
        )


class TestOperators:
    @pytest.fixture
    def steer(self, periodic: PostgresPeriodicLedger) -> SteerPeriodicJobs:
        return SteerPeriodicJobs(periodic, new_id)

    async def test_a_paused_one_stores_nothing_until_it_is_resumed(
        self, ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger, steer: SteerPeriodicJobs
    ) -> None:
        tick, _ = scheduler(periodic)
        await tick.declare()
        assert (await steer.pause("nightly", BY)).paused_at is not None
        await make_due(ledger, ago=timedelta(hours=1))
        await tick.do()
        resumed = await steer.resume("nightly", BY)
        assert resumed.paused_at is None
        assert resumed.next_at == resumed.schedule.next_after(await periodic.now())
        await tick.do()
        assert await ledger.ids() == []

    async def test_one_is_run_at_once_and_keeps_its_moment(
        self, ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger, steer: SteerPeriodicJobs
    ) -> None:
        await periodic.declare([(declared(unique_key=new_id()), FAR)])
        job, stored = await steer.run("nightly", BY)
        assert await ledger.ids() == [stored]
        assert (job.next_at, job.last_at, job.last_job_id) == (FAR, None, stored)
        # One that counts as the same has not ended.
        job, again = await steer.run("nightly", BY)
        assert (job.last_job_id, again) == (stored, None)

    async def test_each_act_that_changed_something_is_kept(
        self, ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger, steer: SteerPeriodicJobs
    ) -> None:
        await periodic.declare([(declared(), FAR)])
        for act in (steer.pause, steer.pause, steer.resume, steer.resume, steer.run):
            await act("nightly", BY)
        rows = await ledger.execute(
            "SELECT action, periodic_job, kind, queue, caller_name, reason"
            " FROM workerqueue.audit_entries ORDER BY id"
        )
        what = ("nightly", "purge", "maintenance", BY.caller_name, BY.reason)
        assert rows == [("pause", *what), ("resume", *what), ("run", *what)]

    async def test_one_that_does_not_exist(self, steer: SteerPeriodicJobs) -> None:
        for act in (steer.pause, steer.resume, steer.run):
            with pytest.raises(PeriodicJobNotFound):
                await act("nightly", BY)

    async def test_they_are_listed_by_name(
        self, periodic: PostgresPeriodicLedger, steer: SteerPeriodicJobs
    ) -> None:
        await periodic.declare([(declared(name), FAR) for name in ("b", "c", "a")])
        listed = await steer.list(after="a", limit=1)
        assert [job.name for job in listed] == ["b"]


async def test_its_jobs_have_the_limits_of_their_kind(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    limits = limits_of(
        LimitRules(
            serial=KeyRule("purge"),
            concurrency=ConcurrencyRule(KeyRule("heavy"), 2),
            rate=RateRule(KeyRule("heavy"), timedelta(seconds=3), 4),
        ),
        None,
        {},
    )
    tick, _ = scheduler(periodic, declared(limits=limits))
    await tick.declare()
    await make_due(ledger)
    await tick.do()
    steer = SteerPeriodicJobs(periodic, new_id)
    await steer.run("nightly", BY)
    stored = await ledger.ids()
    assert len(stored) == 2
    for job_id in stored:
        row = await ledger.row(job_id)
        assert limits is not None
        assert (row["limit_lane"], row["serial_key"]) == (str(limits.lane), ":purge")
        assert (row["concurrency_key"], row["max_running"]) == (":heavy", 2)
        assert (row["rate_key"], row["rate_interval"], row["rate_burst"]) == (
            ":heavy",
            3_000_000,
            4,
        )
    # One after the other, as all jobs with its key.
    assert len(entries(await sweep(ledger))) == 1


async def test_a_kind_that_loses_its_limits_frees_its_jobs(
    ledger: LedgerUnderTest, periodic: PostgresPeriodicLedger
) -> None:
    limits = limits_of(LimitRules(serial=KeyRule("purge")), None, {})
    await scheduler(periodic, declared(limits=limits))[0].declare()
    tick, _ = scheduler(periodic, declared())
    await tick.declare()
    await make_due(ledger)
    await tick.do()
    [job_id] = await ledger.ids()
    assert (await ledger.row(job_id))["limit_lane"] is None
