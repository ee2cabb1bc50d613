"""What waits for a target or for its kind is counted, and shouted about once it has waited long."""

import logging
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from kongflow_workerqueue.adapters.oversight_postgres import PostgresOversight
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.domain.states import WAITING_FOR_KIND, JobState, waiting_for_target
from kongflow_workerqueue.duties.wait_alarm import WaitAlarm
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

METRIC = "kongflow_workerqueue_waiting_jobs"


async def park(ledger: LedgerUnderTest, kind: str, waiting_for: str, *, ago: timedelta) -> None:
    """Store a job that its worker found nobody to ask about."""
    job = new_job(kind=kind)
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    transition = Transition(
        JobState.SCHEDULED,
        spends_attempt=False,
        delay=timedelta(hours=1),
        waiting_for=waiting_for,
    )
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, transition)])
    await ledger.shift(job.id, "created_at", -ago)


async def test_a_kind_that_nobody_declares_is_alarmed_about_by_its_age(
    ledger: LedgerUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    events = waiting_for_target("events")
    await park(ledger, "tomorrow.doIt", WAITING_FOR_KIND, ago=timedelta(minutes=6))
    await park(ledger, "tomorrow.doIt", WAITING_FOR_KIND, ago=timedelta(minutes=1))
    await park(ledger, "deliverEvent", events, ago=timedelta(minutes=4))
    await ledger.insert(new_job())
    registry = CollectorRegistry()
    alarm = WaitAlarm(PostgresOversight(ledger.database), registry)
    await alarm.do()
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    fields = record.__dict__["fields"]
    assert (fields["kind"], fields["waiting_for"], fields["jobs"]) == ("tomorrow.doIt", "kind", 2)
    assert 360 <= fields["oldest_seconds"] < 400

    def count(waiting_for: str, kind: str) -> float | None:
        labels = {"waiting_for": waiting_for, "kind": kind}
        return registry.get_sample_value(METRIC, labels)

    assert count("kind", "tomorrow.doIt") == 2
    assert count(events, "deliverEvent") == 1
    # Its kind is declared: nothing waits any more, and nothing is said.
    await ledger.maintenance.release_waiting(WAITING_FOR_KIND)
    caplog.clear()
    await alarm.do()
    assert count("kind", "tomorrow.doIt") is None
    assert not caplog.records
