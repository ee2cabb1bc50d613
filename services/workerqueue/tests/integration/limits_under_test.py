"""Jobs with limits, and how a test has them admitted, begun and finished."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from kongflow_workerqueue.application.limit_ports import LimitedAdmission
from kongflow_workerqueue.application.ports import Admitted, FinishedJob, NewJob
from kongflow_workerqueue.domain.limits import (
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    RateRule,
    limits_of,
)
from kongflow_workerqueue.domain.outcome import COMPLETED, Transition
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

SHARE = 100
ALL = UUID(int=0)


def serial(key: str = "k") -> LimitRules:
    return LimitRules(serial=KeyRule(key))


def at_most(running: int, key: str = "k") -> LimitRules:
    return LimitRules(concurrency=ConcurrencyRule(KeyRule(key), running))


def rate(interval: timedelta, burst: int = 1, key: str = "k") -> LimitRules:
    return LimitRules(rate=RateRule(KeyRule(key), interval, burst))


def limited(rules: LimitRules, **options: object) -> NewJob:
    return new_job(limits=limits_of(rules, None, {}), **options)


async def sweep(ledger: LedgerUnderTest, share: int = SHARE) -> LimitedAdmission:
    return await ledger.limits.admit_limited([], share=share, sweep_after=ALL)


def entries(admission: LimitedAdmission) -> Sequence[Admitted]:
    return [entry for queue in admission.admitted.values() for entry in queue]


async def begin(ledger: LedgerUnderTest) -> list[UUID]:
    """Admit all that may run now and claim it."""
    admitted = entries(await sweep(ledger))
    claimed = await ledger.worker.claim(
        ledger.worker_id, [(entry.id, entry.turn) for entry in admitted]
    )
    assert {job.id for job in claimed} == {entry.id for entry in admitted}
    return [entry.id for entry in admitted]


async def finish(ledger: LedgerUnderTest, job_id: UUID, transition: Transition = COMPLETED) -> None:
    turn = (await ledger.row(job_id))["turn"]
    assert (
        await ledger.worker.finish(ledger.worker_id, [FinishedJob(job_id, turn, transition)]) == 1
    )
