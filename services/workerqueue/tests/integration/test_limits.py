"""Serial keys, concurrency and rate limits, as the ledger keeps them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.adapters.ledger_limits import _once_each
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.limits import (
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    limits_of,
)
from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.domain.states import JobKeyMode, JobState, Priority
from kongflow_workerqueue.domain.suspicion import waiting_alone
from services.workerqueue.tests.integration.ledger_under_test import (
    BY,
    LedgerUnderTest,
    new_job,
)
from services.workerqueue.tests.integration.limits_under_test import (
    ALL,
    SHARE,
    at_most,
    begin,
    entries,
    finish,
    limited,
    rate,
    serial,
    sweep,
)

ALONE = waiting_alone("events")
OLD = datetime(2020, 1, 1, tzinfo=UTC)
RETRY_LATER = Transition(JobState.RETRYABLE, spends_attempt=True, delay=timedelta(hours=1))
SNOOZE = Transition(JobState.SCHEDULED, spends_attempt=False, delay=timedelta(hours=1))


async def test_no_way_past_the_admission(ledger: LedgerUnderTest) -> None:
    jobs = [limited(at_most(1)) for _ in range(5)]
    outcomes = await ledger.enqueue.insert(jobs, admit_to=["events"])
    assert [(each.available, each.admitted) for each in outcomes] == [(True, None)] * 5
    assert await ledger.worker.claim_waiting(ledger.worker_id, "events", 10) == []
    assert await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs]) == []
    assert await ledger.worker.claim_available(ledger.worker_id, "events", 10) == []
    # With Redis away, what is admitted is found in the ledger.
    [entry] = entries(await sweep(ledger))
    [claimed] = await ledger.worker.claim_available(ledger.worker_id, "events", 10)
    assert claimed.id == entry.id == jobs[0].id
    assert entries(await sweep(ledger)) == []


async def test_what_is_withdrawn_cannot_be_claimed_and_gives_its_place_away(
    ledger: LedgerUnderTest,
) -> None:
    jobs = [limited(at_most(1)) for _ in range(2)]
    await ledger.insert(*jobs)
    [entry] = entries(await sweep(ledger))
    await ledger.limits.withdraw([(entry.id, entry.turn)])
    assert await ledger.worker.claim(ledger.worker_id, [(entry.id, entry.turn)]) == []
    assert await begin(ledger) == [jobs[0].id]


async def test_so_many_run_at_once_and_each_end_lets_the_next_in(ledger: LedgerUnderTest) -> None:
    jobs = [limited(at_most(3)) for _ in range(7)]
    other = limited(at_most(1, "other"))
    await ledger.insert(*jobs, other)
    running = await begin(ledger)
    assert sorted(running) == [*(job.id for job in jobs[:3]), other.id]
    assert await begin(ledger) == []
    await finish(ledger, jobs[1].id)
    await finish(ledger, jobs[2].id, RETRY_LATER)
    assert await begin(ledger) == [jobs[3].id, jobs[4].id]
    await ledger.operators.cancel(jobs[3].id, None, BY, follow_up=None)
    assert await begin(ledger) == [jobs[5].id]


async def test_an_environment_does_not_limit_another(ledger: LedgerUnderTest) -> None:
    jobs = [
        new_job(environment_id=owner, limits=limits_of(serial(), owner, {}))
        for owner in (new_id(), new_id(), None)
    ]
    await ledger.insert(*jobs)
    assert len(await begin(ledger)) == 3


async def test_priorities_age_within_a_lane(ledger: LedgerUnderTest) -> None:
    low = limited(at_most(1), priority=Priority.VERY_LOW, run_at=OLD)
    high = limited(at_most(1), priority=Priority.HIGH, run_at=OLD + timedelta(seconds=89))
    late = limited(at_most(1), priority=Priority.HIGH, run_at=OLD + timedelta(seconds=91))
    await ledger.insert(late, low, high)
    order = []
    while running := await begin(ledger):
        order += running
        await finish(ledger, running[0])
    assert order == [high.id, low.id, late.id]


class TestSerial:
    """Strictly one after the other."""

    async def test_by_run_time_and_id_whatever_the_priority(self, ledger: LedgerUnderTest) -> None:
        second = limited(serial(), run_at=OLD + timedelta(seconds=1), priority=Priority.HIGH)
        first = limited(serial(), run_at=OLD, priority=Priority.VERY_LOW)
        third = limited(serial(), run_at=OLD + timedelta(seconds=1), priority=Priority.HIGH)
        ahead = limited(serial(), run_at=datetime(2090, 1, 1, tzinfo=UTC))
        await ledger.insert(third, ahead, second, first)
        order = []
        while running := await begin(ledger):
            assert len(running) == 1
            order += running
            await finish(ledger, running[0])
        assert order == [job.id for job in (first, *sorted([second, third], key=lambda j: j.id))]

    @pytest.mark.parametrize("transition", [RETRY_LATER, SNOOZE])
    async def test_what_has_begun_holds_up_the_others_until_it_ends(
        self, ledger: LedgerUnderTest, transition: Transition
    ) -> None:
        first, second = limited(serial()), limited(serial())
        await ledger.insert(first, second)
        assert await begin(ledger) == [first.id]
        await finish(ledger, first.id, transition)
        assert await begin(ledger) == []
        await ledger.shift(first.id, "run_at", -timedelta(hours=2))
        assert await ledger.maintenance.make_due(10) == {"events": 1}
        assert await begin(ledger) == [first.id]
        await finish(ledger, first.id)
        assert await begin(ledger) == [second.id]

    async def test_a_job_that_was_taken_back_is_the_next(self, ledger: LedgerUnderTest) -> None:
        first, second = limited(serial()), limited(serial())
        await ledger.insert(first, second)
        lost = await ledger.another_worker()
        [entry] = entries(await sweep(ledger))
        assert await ledger.worker.claim(lost, [(entry.id, entry.turn)]) != []
        await ledger.end_lease(lost)
        assert await begin(ledger) == []
        assert await ledger.maintenance.take_back_orphans(10) == {"events": 1}
        assert await begin(ledger) == [first.id]

    async def test_a_job_that_was_handed_back_is_the_next(self, ledger: LedgerUnderTest) -> None:
        first, second = limited(serial()), limited(serial())
        await ledger.insert(first, second)
        await begin(ledger)
        assert await ledger.worker.hand_back(ledger.worker_id, [(first.id, 1)]) == 1
        assert await begin(ledger) == [first.id]

    async def test_dead_letters_that_run_again_do_not_hold_up_each_other(
        self, ledger: LedgerUnderTest
    ) -> None:
        jobs = [limited(serial()) for _ in range(3)]
        await ledger.insert(*jobs)
        for job in jobs[:2]:
            assert await begin(ledger) == [job.id]
            gone = Transition(JobState.DISCARDED, spends_attempt=True)
            await finish(ledger, job.id, gone)
        for job in jobs[:2]:
            outcome = await ledger.operators.retry(job.id, None, BY, admit_to=["events"])
            assert outcome.admitted is None
        order = []
        while running := await begin(ledger):
            order += running
            await finish(ledger, running[0])
        assert order == [job.id for job in jobs]

    async def test_a_key_bars_its_other_limits_too(self, ledger: LedgerUnderTest) -> None:
        # In one line by their serial key, of which the first waits for a place.
        rules = LimitRules(serial=KeyRule("line"), concurrency=ConcurrencyRule(KeyRule("k"), 1))
        blocker = limited(at_most(1))
        await ledger.insert(blocker)
        assert await begin(ledger) == [blocker.id]
        first, second = limited(rules), limited(serial("line"))
        await ledger.insert(first, second)
        assert await begin(ledger) == []
        await finish(ledger, blocker.id)
        assert await begin(ledger) == [first.id]
        await finish(ledger, first.id)
        assert await begin(ledger) == [second.id]

    async def test_a_replaced_job_moves_to_its_new_lane(self, ledger: LedgerUnderTest) -> None:
        first = limited(serial("a"))
        keyed = limited(serial("a"), job_key="key")
        await ledger.insert(first, keyed)
        assert await begin(ledger) == [first.id]
        anew = limited(serial("b"), job_key="key", job_key_mode=JobKeyMode.REPLACE)
        await ledger.enqueue.insert([anew], admit_to=["events"])
        assert await begin(ledger) == [keyed.id]

    async def test_a_job_that_is_replaced_begins_anew_and_holds_nobody_up(
        self, ledger: LedgerUnderTest
    ) -> None:
        first, second = limited(serial(), job_key="key"), limited(serial())
        await ledger.insert(first, second)
        assert await begin(ledger) == [first.id]
        await finish(ledger, first.id, RETRY_LATER)
        assert await begin(ledger) == []
        far = datetime(2090, 1, 1, tzinfo=UTC)
        await ledger.insert(limited(serial(), job_key="key", run_at=far))
        assert (await ledger.row(first.id))["state"] == "scheduled"
        assert await begin(ledger) == [second.id]


async def test_the_lanes_of_a_key_share_it(ledger: LedgerUnderTest) -> None:
    """The end of one lane's job lets another lane's in, without a sweep."""
    lanes = [
        LimitRules(serial=KeyRule(f"line {n}"), concurrency=ConcurrencyRule(KeyRule("k"), 2))
        for n in range(5)
    ]
    jobs = [limited(rules) for rules in lanes for _ in range(2)]
    await ledger.insert(*jobs)
    running = await begin(ledger)
    assert len(running) == 2
    ended: list[UUID] = []
    by_id: Mapping[UUID, NewJob] = {job.id: job for job in jobs}
    while running:
        job = by_id[running.pop()]
        await finish(ledger, job.id)
        ended.append(job.id)
        assert job.limits is not None
        admitted = entries(
            await ledger.limits.admit_limited(
                [(job.limits.lane, job.limits.concurrency_key)], share=SHARE
            )
        )
        claimed = await ledger.worker.claim(
            ledger.worker_id, [(entry.id, entry.turn) for entry in admitted]
        )
        running += [each.id for each in claimed]
        assert len(running) <= 2
    assert sorted(ended) == sorted(by_id)


async def test_a_key_of_several_lanes_that_ended_is_gone_through_once(
    ledger: LedgerUnderTest,
) -> None:
    assert _once_each(["a", None, "b", "a", None, "a"]) == ["a", None, "b", None, None, None]
    lanes = [
        LimitRules(serial=KeyRule(f"line {n}"), concurrency=ConcurrencyRule(KeyRule("k"), 2))
        for n in range(5)
    ]
    jobs = [limited(rules) for rules in lanes]
    await ledger.insert(*jobs)
    ended = [
        (job.limits.lane, job.limits.concurrency_key) for job in jobs[:3] if job.limits is not None
    ]
    # They are admitted all the same, from the lanes themselves and from those that share the key.
    admission = await ledger.limits.admit_limited(ended, share=SHARE)
    assert len(entries(admission)) == 2


async def test_no_queue_is_filled_by_limited_jobs(ledger: LedgerUnderTest) -> None:
    await ledger.insert(*(limited(serial(f"{n}")) for n in range(20)))
    assert len(entries(await sweep(ledger, share=5))) == 5
    assert len(entries(await sweep(ledger, share=8))) == 3


async def test_a_paused_queue_is_not_admitted_from(ledger: LedgerUnderTest) -> None:
    job = limited(serial())
    await ledger.insert(job)
    await ledger.operators.set_paused("events", BY, paused=True)
    assert entries(await sweep(ledger)) == []
    await ledger.operators.set_paused("events", BY, paused=False)
    assert await begin(ledger) == [job.id]


class TestRate:
    """GCRA: so many at once, then one in each interval."""

    async def test_a_burst_and_then_one_by_one(self, ledger: LedgerUnderTest) -> None:
        hour = timedelta(hours=1)
        jobs = [limited(rate(hour, burst=3)) for _ in range(6)]
        await ledger.insert(*jobs)
        admission = await sweep(ledger)
        assert [entry.id for entry in entries(admission)] == [job.id for job in jobs[:3]]
        # Those that are admitted have their starts, though they have not begun.
        [wait] = admission.waits.values()
        assert timedelta() < wait <= hour
        assert entries(await sweep(ledger)) == []
        claimed = await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs])
        assert {job.id for job in claimed} == {job.id for job in jobs[:3]}
        assert all(job.limits is not None and job.limits.is_rated for job in claimed)
        # The end of a job gives no start back.
        await finish(ledger, jobs[0].id)
        admission = await sweep(ledger)
        assert entries(admission) == []
        [wait] = admission.waits.values()
        assert hour - timedelta(minutes=1) < wait <= hour
        await self._pass(ledger, hour)
        assert await begin(ledger) == [jobs[3].id]
        await self._pass(ledger, 2 * hour)
        assert await begin(ledger) == [jobs[4].id, jobs[5].id]

    async def test_two_workers_never_take_the_same_start(self, ledger: LedgerUnderTest) -> None:
        jobs = [limited(rate(timedelta(hours=1), burst=5)) for _ in range(20)]
        await ledger.insert(*jobs)
        # As if all had been admitted, by a limit that was wider then.
        await ledger.execute("UPDATE workerqueue.queued_jobs SET admitted_at = now()")
        other = await ledger.another_worker()
        claims = await asyncio.gather(
            *(
                ledger.worker.claim(worker, [(job.id, 1) for job in jobs[start::4]])
                for start, worker in enumerate((ledger.worker_id, other) * 2)
            )
        )
        assert sum(len(claim) for claim in claims) == 5
        # Those that got none wait for their admission again.
        assert entries(await sweep(ledger)) == []
        await self._pass(ledger, timedelta(hours=2))
        assert len(entries(await sweep(ledger))) == 2

    async def test_polling_workers_keep_it(self, ledger: LedgerUnderTest) -> None:
        jobs = [limited(rate(timedelta(hours=1), burst=2)) for _ in range(5)]
        plain = new_job()
        await ledger.insert(*jobs, plain)
        await sweep(ledger)
        claimed = await ledger.worker.claim_available(ledger.worker_id, "events", 10)
        assert {job.id for job in claimed} == {plain.id, jobs[0].id, jobs[1].id}
        assert await ledger.worker.claim_available(ledger.worker_id, "events", 10) == []

    async def test_what_has_passed_is_forgotten(self, ledger: LedgerUnderTest) -> None:
        await ledger.insert(limited(rate(timedelta(hours=1))))
        await begin(ledger)
        await ledger.maintenance.prune({}, limit=10)
        assert await self._keys(ledger) == 1
        await self._pass(ledger, timedelta(hours=2))
        await ledger.maintenance.prune({}, limit=10)
        assert await self._keys(ledger) == 0

    async def _keys(self, ledger: LedgerUnderTest) -> int:
        [(count,)] = await ledger.execute("SELECT count(*) FROM workerqueue.rate_limits")
        return int(count)

    async def _pass(self, ledger: LedgerUnderTest, time: timedelta) -> None:
        await ledger.execute(
            "UPDATE workerqueue.rate_limits SET arrival_at = arrival_at - %s", time
        )


async def test_sweeps_go_on_where_the_last_one_ended(
    ledger: LedgerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kongflow_workerqueue.adapters.ledger_limits.LANES_A_SWEEP", 4)
    # Due long ago: what has become due of late is looked at by every sweep.
    await ledger.insert(*(limited(serial(f"{n}"), run_at=OLD) for n in range(10)))
    after: UUID | None = ALL
    counts = []
    while after is not None:
        admission = await ledger.limits.admit_limited([], share=SHARE, sweep_after=after)
        counts.append(len(entries(admission)))
        after = admission.next_sweep
    assert counts == [4, 4, 2]
