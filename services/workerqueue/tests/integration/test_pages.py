"""Where the rows of jobs lie."""

from uuid import UUID

from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.domain.outcome import COMPLETED
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

JOBS = 300


async def test_a_job_stays_in_its_page_from_one_state_to_the_next(ledger: LedgerUnderTest) -> None:
    jobs = [new_job() for _ in range(JOBS)]
    await ledger.insert(*jobs)
    available = await _pages(ledger)
    claimed = await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs])
    assert len(claimed) == JOBS
    running = await _pages(ledger)
    await ledger.worker.finish(
        ledger.worker_id, [FinishedJob(job.id, 1, COMPLETED) for job in jobs]
    )
    completed = await _pages(ledger)
    ids = [job.id for job in jobs]
    assert _staying(ids, available, running) > 0.9 * JOBS
    # A page that is full is cleared of what nobody sees any more, when it is read.
    assert _staying(ids, running, completed) > 0.5 * JOBS


async def _pages(ledger: LedgerUnderTest) -> dict[UUID, int]:
    rows = await ledger.execute(
        "SELECT id, (ctid::text::point)[0]::int FROM workerqueue.queued_jobs"
    )
    return dict(rows)


def _staying(ids: list[UUID], before: dict[UUID, int], after: dict[UUID, int]) -> int:
    return sum(before[id_] == after[id_] for id_ in ids)
