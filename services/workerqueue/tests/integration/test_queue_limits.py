"""How many jobs of a queue run, over all workers."""

import asyncio

from services.workerqueue.tests.integration.ledger_under_test import (
    BY,
    LedgerUnderTest,
    new_job,
)
from services.workerqueue.tests.integration.limits_under_test import (
    entries,
    finish,
    limited,
    serial,
    sweep,
)


async def test_admission_and_polling_keep_it(ledger: LedgerUnderTest) -> None:
    plain = [new_job() for _ in range(6)]
    keyed = limited(serial())
    await ledger.insert(*plain, keyed)
    await ledger.operators.set_limit("events", 3, BY)
    # Nothing passes by it as it is stored.
    [outcome] = await ledger.enqueue.insert([new_job()], admit_to=["events"])
    assert (outcome.available, outcome.admitted) == (True, None)
    first = await ledger.worker.claim_waiting(ledger.worker_id, "events", 2)
    assert len(first) == 2
    assert len(entries(await sweep(ledger))) == 1
    assert await ledger.worker.claim_waiting(ledger.worker_id, "events", 10) == []
    [claimed] = await ledger.worker.claim_available(ledger.worker_id, "events", 10)
    assert claimed.id == keyed.id
    assert await ledger.worker.claim_available(ledger.worker_id, "events", 10) == []
    await finish(ledger, first[0].id)
    assert len(await ledger.worker.claim_available(ledger.worker_id, "events", 10)) == 1
    await ledger.operators.set_limit("events", None, BY)
    assert len(await ledger.worker.claim_waiting(ledger.worker_id, "events", 10)) == 4


async def test_what_stands_in_the_window_is_not_begun_beyond_it(ledger: LedgerUnderTest) -> None:
    jobs = [new_job() for _ in range(5)]
    await ledger.enqueue.insert(jobs, admit_to=["events"])
    await ledger.operators.set_limit("events", 2, BY)
    window = [(job.id, 1) for job in jobs]
    assert await ledger.worker.claim(ledger.worker_id, window) == []
    assert len(await ledger.worker.claim_waiting(ledger.worker_id, "events", 10)) == 2
    assert await ledger.worker.claim(ledger.worker_id, window) == []


async def test_workers_that_ask_together_never_exceed_it(ledger: LedgerUnderTest) -> None:
    await ledger.insert(*(new_job() for _ in range(50)))
    await ledger.operators.set_limit("events", 7, BY)
    other = await ledger.another_worker()

    taken = await asyncio.gather(
        *(
            claim(worker, "events", 5)
            for claim in (ledger.worker.claim_waiting, ledger.worker.claim_available)
            for worker in (ledger.worker_id, other) * 2
        )
    )
    ids = {job.id for batch in taken for job in batch}
    assert len(ids) == 7


async def test_it_is_audited(ledger: LedgerUnderTest) -> None:
    await ledger.insert(new_job())
    for _ in range(2):
        await ledger.operators.set_limit("events", 2, BY)
    audited = await ledger.execute("SELECT action, queue, reason FROM workerqueue.audit_entries")
    assert audited == [("limit", "events", "because")]
