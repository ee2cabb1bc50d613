"""What keeps the ledger going: due jobs, orphans, lost windows, retention."""

import asyncio
from datetime import UTC, datetime, timedelta

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import FinishedJob, QueueDepth
from kongflow_workerqueue.domain.outcome import CANCELLED, COMPLETED, Transition
from kongflow_workerqueue.domain.states import FINAL_STATES, JobState
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

FUTURE = datetime(2090, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_jobs_become_available_when_their_time_has_come(ledger: LedgerUnderTest) -> None:
    due, later = new_job(run_at=FUTURE), new_job(run_at=FUTURE)
    await ledger.insert(due, later)
    assert await ledger.maintenance.make_due(10) == {}
    await ledger.execute(
        "UPDATE workerqueue.queued_jobs SET run_at = now() - interval '1 s' WHERE id = %s", due.id
    )
    wait = await ledger.maintenance.next_due()
    assert wait is not None
    assert wait < timedelta()
    assert await ledger.maintenance.make_due(10) == {"events": 1}
    row = await ledger.row(due.id)
    assert (row["state"], row["turn"]) == ("available", 2)
    assert (await ledger.row(later.id))["state"] == "scheduled"
    wait = await ledger.maintenance.next_due()
    assert wait is not None
    assert wait > DAY


async def test_making_due_is_bounded_and_shared(ledger: LedgerUnderTest) -> None:
    await ledger.insert(*(new_job(run_at=FUTURE) for _ in range(30)))
    await ledger.execute("UPDATE workerqueue.queued_jobs SET run_at = now()")
    counts = await asyncio.gather(*(ledger.maintenance.make_due(10) for _ in range(5)))
    assert sum(count.get("events", 0) for count in counts) == 30
    assert all(count.get("events", 0) <= 10 for count in counts)
    assert await ledger.maintenance.next_due() is None


async def test_jobs_of_a_worker_without_a_lease_are_taken_back(ledger: LedgerUnderTest) -> None:
    dead, gone = await ledger.another_worker(), await ledger.another_worker()
    jobs = [new_job() for _ in range(4)]
    await ledger.insert(*jobs)
    await ledger.worker.claim(dead, [(jobs[0].id, 1), (jobs[1].id, 1)])
    await ledger.worker.claim(gone, [(jobs[2].id, 1)])
    await ledger.claim_one(jobs[3].id)
    assert await ledger.maintenance.take_back_orphans(10) == {}
    await ledger.end_lease(dead)
    await ledger.worker.remove_worker(gone)
    assert await ledger.maintenance.take_back_orphans(2) == {"events": 2}
    assert await ledger.maintenance.take_back_orphans(2) == {"events": 1}
    for job in jobs[:3]:
        row = await ledger.row(job.id)
        assert (row["state"], row["turn"], row["attempt"], row["lapses"]) == ("available", 2, 0, 1)
    assert (await ledger.row(jobs[3].id))["state"] == "running"
    # The dead worker's late answer changes nothing.
    assert await ledger.worker.finish(dead, [FinishedJob(jobs[0].id, 1, COMPLETED)]) == 0
    assert (await ledger.claim_one(jobs[0].id, 2)).lapses == 1


async def test_leases_that_ended_long_ago_are_dropped(ledger: LedgerUnderTest) -> None:
    old = await ledger.another_worker()
    await ledger.execute(
        "UPDATE workerqueue.worker_leases SET expires_at = now() - interval '2 min'"
        " WHERE worker_id = %s",
        old,
    )
    await ledger.maintenance.take_back_orphans(10)
    [(leases,)] = await ledger.execute("SELECT array_agg(worker_id) FROM workerqueue.worker_leases")
    assert leases == [ledger.worker_id]


async def test_a_lost_window_is_pushed_again(ledger: LedgerUnderTest) -> None:
    lost, fresh, waiting = new_job(), new_job(queue="execution"), new_job()
    await ledger.enqueue.insert([lost, fresh], admit_to=["events", "execution"])
    await ledger.insert(waiting)
    await ledger.shift(lost.id, "admitted_at", -timedelta(seconds=30))
    [stale] = await ledger.maintenance.readmit_stale(older_than=timedelta(seconds=10), limit=10)
    assert (stale.queue, stale.entry.id, stale.entry.turn) == ("events", lost.id, 1)
    # Whoever asks next does not push the same again.
    again = await ledger.maintenance.readmit_stale(older_than=timedelta(seconds=10), limit=10)
    assert again == []


async def test_jobs_that_wait_for_a_target_are_released_when_it_is_back(
    ledger: LedgerUnderTest,
) -> None:
    waits = {
        "events": ("target:events", "deliverEvent"),
        "events too": ("target:events", "events.invokeDispatcher"),
        "runs": ("target:runs", "startRun"),
    }
    jobs = {name: new_job(kind=kind) for name, (_, kind) in waits.items()}
    await ledger.insert(*jobs.values())
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs.values()])
    await ledger.worker.finish(
        ledger.worker_id,
        [
            FinishedJob(
                jobs[name].id,
                1,
                Transition(
                    JobState.SCHEDULED,
                    spends_attempt=False,
                    delay=timedelta(hours=1),
                    waiting_for=waiting_for,
                ),
            )
            for name, (waiting_for, _) in waits.items()
        ],
    )
    release = ledger.maintenance.release_waiting
    assert await release("target:events", kinds=["deliverEvent"]) == {"events": 1}
    row = await ledger.row(jobs["events"].id)
    assert (row["state"], row["turn"], row["waiting_for"]) == ("available", 2, None)
    assert (await ledger.row(jobs["events too"].id))["state"] == "scheduled"
    assert await release("target:events") == {"events": 1}
    assert await release("target:events") == {}
    assert await release("target:runs", limit=1) == {"events": 1}


async def test_ended_jobs_go_when_the_time_of_their_state_is_over(
    ledger: LedgerUnderTest,
) -> None:
    ends = {
        JobState.COMPLETED: COMPLETED,
        JobState.CANCELLED: CANCELLED,
        JobState.DISCARDED: Transition(JobState.DISCARDED, spends_attempt=True),
    }
    jobs = {state: (new_job(), new_job()) for state in ends}
    running = new_job()
    every = [job for pair in jobs.values() for job in pair]
    await ledger.insert(*every, running)
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in [*every, running]])
    await ledger.worker.finish(
        ledger.worker_id,
        [FinishedJob(job.id, 1, ends[state]) for state, pair in jobs.items() for job in pair],
    )
    for old, _ in jobs.values():
        await ledger.shift(old.id, "finalized_at", -10 * DAY)
    left = {job.id for job in [*every, running]}
    for state, (old, _) in jobs.items():
        kept_for = {each: (9 if each is state else 11) * DAY for each in ends}
        assert (await ledger.maintenance.prune(kept_for, limit=10)).jobs == 1
        left.remove(old.id)
        assert set(await ledger.ids()) == left


async def test_what_ended_within_the_hour_is_kept_whatever_is_asked(
    ledger: LedgerUnderTest,
) -> None:
    jobs = [new_job(), new_job()]
    await ledger.insert(*jobs)
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs])
    await ledger.worker.finish(
        ledger.worker_id, [FinishedJob(job.id, 1, COMPLETED) for job in jobs]
    )
    await ledger.shift(jobs[0].id, "finalized_at", -timedelta(minutes=61))
    await ledger.shift(jobs[1].id, "finalized_at", -timedelta(minutes=59))
    pruned = await ledger.maintenance.prune({JobState.COMPLETED: timedelta()}, limit=10)
    assert pruned.jobs == 1
    assert await ledger.ids() == [jobs[1].id]


async def test_receipts_go_too(ledger: LedgerUnderTest) -> None:
    await ledger.insert(new_job(job_key="k"), new_job(job_key="k"))
    await ledger.insert(new_job(job_key="k"))
    await ledger.execute(
        "UPDATE workerqueue.command_receipts SET received_at = now() - interval '3 days'"
        " WHERE outbox_id = (SELECT min(outbox_id::text)::uuid FROM workerqueue.command_receipts)"
    )
    pruned = await ledger.maintenance.prune(dict.fromkeys(FINAL_STATES, DAY), limit=10)
    assert (pruned.jobs, pruned.receipts) == (0, 1)


async def test_depths_count_by_queue(ledger: LedgerUnderTest) -> None:
    jobs = [new_job() for _ in range(3)]
    await ledger.enqueue.insert(jobs[:1], admit_to=["events"])
    await ledger.insert(*jobs[1:], new_job(run_at=FUTURE), new_job(queue="execution"))
    await ledger.claim_one(jobs[2].id)
    await ledger.shift(jobs[1].id, "run_at", -timedelta(minutes=1))
    depths = await ledger.maintenance.queue_depths()
    events = depths["events"]
    assert (events.available, events.running, events.waiting) == (2, 1, 1)
    assert timedelta(seconds=60) <= events.oldest_wait < timedelta(seconds=90)
    assert depths["execution"].available == 1
    await ledger.execute("TRUNCATE workerqueue.queued_jobs")
    assert await ledger.maintenance.queue_depths() == {}


async def test_a_queue_where_everything_runs_has_no_wait(ledger: LedgerUnderTest) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    assert await ledger.maintenance.queue_depths() == {"events": QueueDepth(0, 1, 0, timedelta())}


async def test_a_duty_is_done_by_one_in_each_period(ledger: LedgerUnderTest) -> None:
    name, every = f"duty-{new_id()}", timedelta(hours=1)
    turns = await asyncio.gather(
        *(ledger.maintenance.try_duty(name, every=every) for _ in range(8))
    )
    assert turns.count(True) == 1
    await ledger.execute(
        "UPDATE workerqueue.duties SET next_at = now() - interval '1 s' WHERE name = %s", name
    )
    assert await ledger.maintenance.try_duty(name, every=every)
    assert not await ledger.maintenance.try_duty(name, every=every)
