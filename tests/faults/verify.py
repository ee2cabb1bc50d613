"""What must hold when the faults are over."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from tests.local_system import LocalSystem, poll_until


@dataclass(frozen=True)
class Findings:
    """What the database holds."""

    runs: int
    runs_succeeded: int
    events_with_runs: int
    events_with_several_runs: int
    outcomes_of_others: int
    outcomes_stored: int
    executions_failed: int
    jobs_open: int
    jobs_discarded: int
    attempts_spent: int
    outbox_rows: int

    def problems(self, sent: int) -> list[str]:
        """What is not as it must be after `sent` events."""
        wrong = []
        if (self.runs, self.runs_succeeded, self.events_with_runs) != (sent, sent, sent):
            wrong.append(
                f"{sent} events became {self.runs} runs ({self.runs_succeeded} succeeded)"
                f" of {self.events_with_runs} events"
            )
        if self.events_with_several_runs:
            wrong.append(f"{self.events_with_several_runs} events have several runs")
        if self.outcomes_of_others:
            wrong.append(f"{self.outcomes_of_others} runs hold what another event's run returned")
        if (self.outcomes_stored, self.executions_failed) != (sent, 0):
            wrong.append(
                f"{sent} runs had {self.outcomes_stored} outcomes stored,"
                f" {self.executions_failed} of them failures to reach the program"
            )
        if self.jobs_open or self.outbox_rows:
            wrong.append(f"{self.jobs_open} jobs and {self.outbox_rows} outbox rows are left over")
        if self.jobs_discarded:
            wrong.append(f"{self.jobs_discarded} jobs were discarded")
        if self.attempts_spent:
            wrong.append(f"{self.attempts_spent} attempts were spent on faults")
        return wrong


def wait_for_runs(system: LocalSystem, record_ids: Sequence[str], *, seconds: float) -> Findings:
    """Waits until every event has its run, ended, and nothing is left to do."""
    with psycopg.connect(system.connection()["database_url"], autocommit=True) as connection:

        def done() -> bool:
            found = read_findings(connection, record_ids)
            return found.runs_succeeded >= len(record_ids) and not (
                found.jobs_open or found.outbox_rows
            )

        # What is missing after that time is said by the findings.
        with suppress(AssertionError):
            poll_until(done, seconds=seconds, what="all runs ended", interval=0.5)
        return read_findings(connection, record_ids)


def read_findings(
    connection: psycopg.Connection[tuple[object, ...]], record_ids: Sequence[str]
) -> Findings:
    """Reads what became of the events."""
    row = connection.execute(
        """
        WITH run AS (
            SELECT run.event_record_id, run.status, run.execution_count,
                run.execution_failure_count, run.output->>'eventId' AS told, event.event_id
            FROM runs.job_runs run
            LEFT JOIN events.event_records event ON event.id = run.event_record_id
            WHERE run.event_record_id = ANY(%(ids)s::uuid[])
        ), per_event AS (SELECT event_record_id, count(*) AS runs FROM run GROUP BY 1
        ), job AS (
            -- What was enqueued before these events had attempts of its own to spend.
            SELECT state, attempt FROM workerqueue.queued_jobs WHERE created_at >= (
                SELECT min(created_at) FROM events.event_records WHERE id = ANY(%(ids)s::uuid[]))
        )
        SELECT
            (SELECT count(*) FROM run),
            (SELECT count(*) FROM run WHERE status = 'SUCCESS'),
            (SELECT count(*) FROM per_event),
            (SELECT count(*) FROM per_event WHERE runs > 1),
            (SELECT count(*) FROM run WHERE told IS DISTINCT FROM event_id),
            (SELECT coalesce(sum(execution_count), 0) FROM run),
            (SELECT coalesce(sum(execution_failure_count), 0) FROM run),
            (SELECT count(*) FROM workerqueue.queued_jobs
                WHERE state IN ('available', 'scheduled', 'running', 'retryable')),
            (SELECT count(*) FROM workerqueue.queued_jobs WHERE state = 'discarded'),
            (SELECT coalesce(sum(attempt - 1), 0) FROM job WHERE state = 'completed')
                + (SELECT count(*) FROM job WHERE state <> 'completed' AND attempt > 0),
            (SELECT count(*) FROM events.outbox) + (SELECT count(*) FROM runs.outbox)
                + (SELECT count(*) FROM endpoints.outbox)
        """,
        {"ids": list(record_ids)},
    ).fetchone()
    if row is None:
        raise AssertionError("a query of counts answers a row")
    return Findings(*(int(str(value)) for value in row))
