"""Numbers pending runs, marks them queued and enqueues their execution, with one statement."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import orjson

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.tables import SCHEMA
from kongflow_runs.domain.run import ENDED, RunState, VersionSelector
from kongflow_runs.domain.start import PendingRun, StartedAs

PERFORM_RUN_EXECUTION = "performRunExecution"

PENDING = """
SELECT id, job_id, version_alias, version, version_id FROM runs.job_runs
WHERE id = ANY(%(ids)b) AND environment_id = %(environment_id)b AND status = 'PENDING'
"""

_PLANS = RowParameters(
    "p",
    id="uuid",
    status="text",
    version_id="uuid",
    version="text",
    job_slug="text",
    endpoint_id="uuid",
    queue_id="uuid",
    preprocess="boolean",
    error="text",
    output="jsonb",
)
_MESSAGES = OutboxRows(SCHEMA, join="JOIN changed ON changed.id = o.owner")
_LOGGED = PublishedRows(SCHEMA, join="JOIN changed ON changed.id = v.owner")

# The rows are locked first, in one order, so that two deliveries of one start do not meet in a
# deadlock; the second finds them no longer pending. Numbers are drawn per job in one step, and
# only for runs that are queued.
START = f"""
WITH locked AS (
    SELECT id, project_id, job_id FROM runs.job_runs
    WHERE id = ANY(%(p_id)b) AND environment_id = %(environment_id)b AND status = 'PENDING'
    ORDER BY id
    FOR UPDATE
), planned AS (
    SELECT locked.project_id, locked.job_id, p.*
    FROM locked JOIN {_PLANS.source} ON p.id = locked.id
), drawn AS (
    INSERT INTO runs.job_counters AS counter (project_id, job_id, last_number)
    SELECT project_id, job_id, count(*) FROM planned WHERE status = 'QUEUED'
    GROUP BY project_id, job_id ORDER BY project_id, job_id
    ON CONFLICT (project_id, job_id)
        DO UPDATE SET last_number = counter.last_number + excluded.last_number
    RETURNING project_id, job_id, last_number
), ranked AS (
    SELECT planned.*,
        rank() OVER (PARTITION BY project_id, job_id, status ORDER BY id DESC) - 1 AS behind_last
    FROM planned
), changed AS (
    UPDATE runs.job_runs AS run
    SET status = ranked.status, version_id = ranked.version_id, job_slug = ranked.job_slug,
        job_version = ranked.version,
        endpoint_id = ranked.endpoint_id, queue_id = ranked.queue_id,
        preprocess = ranked.preprocess, error = ranked.error, output = ranked.output,
        queued_at = CASE WHEN ranked.status = 'QUEUED' THEN now() END,
        number = CASE WHEN ranked.status = 'QUEUED'
                      THEN drawn.last_number - ranked.behind_last END,
        completed_at = CASE WHEN ranked.error IS NOT NULL THEN now() END
    FROM ranked LEFT JOIN drawn USING (project_id, job_id)
    WHERE run.id = ranked.id
    RETURNING run.id, run.status
), enqueued AS ({_MESSAGES.insert}), logged AS ({_LOGGED.insert})
SELECT id, status FROM changed
"""  # nosec B608 - made of constants


class PostgresRunStarter:
    """The RunStarter on PostgreSQL."""

    def __init__(self, database: Database, relay: OutboxRelay, news: RunNews) -> None:
        self._pool = database.pool
        self._relay = relay
        self._news = news

    async def pending(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[PendingRun]:
        """Those of the runs that are pending."""
        rows = await self._pool.execute(
            PENDING, {"ids": array_parameter("uuid", run_ids), "environment_id": environment_id}
        )
        return [
            PendingRun(id_, job_id, VersionSelector(alias=alias, version=version), version_id)
            for id_, job_id, alias, version, version_id in rows
        ]

    async def start(
        self, environment_id: UUID, plans: Sequence[tuple[StartedAs, str]]
    ) -> Sequence[tuple[UUID, RunState]]:
        """Carries plans out on those that are still pending; see RunStarter.start."""
        sent = [
            (plan.run_id, _execution(plan.run_id, environment_id, traceparent))
            for plan, traceparent in plans
            if plan.state is RunState.QUEUED
        ]
        ended = self._ended(environment_id, plans)
        sent += await self._told(ended)
        claimed_by = self._relay.claimed_by_for_new_rows()
        rows = await self._pool.execute(
            START,
            {
                **_PLANS.bind([_row(plan) for plan, _ in plans]),
                **_MESSAGES.bind(
                    [message for _, message in sent], claimed_by, [run_id for run_id, _ in sent]
                ),
                **_LOGGED.bind([(plan.run_id, event) for plan, event, _ in ended]),
                "environment_id": environment_id,
            },
        )
        started = {run_id: RunState(status) for run_id, status in rows}
        self._relay.committed(
            [message for run_id, message in sent if run_id in started], claimed_by
        )
        return list(started.items())

    def _ended(
        self, environment_id: UUID, plans: Sequence[tuple[StartedAs, str]]
    ) -> list[tuple[StartedAs, PublishedEvent, str]]:
        """The runs that end at their start, each with the event that says so."""
        return [
            (
                plan,
                self._news.ended(
                    environment_id,
                    plan.run_id,
                    plan.state,
                    job_slug=plan.version.job_slug if plan.version else None,
                    job_version=plan.version.version if plan.version else None,
                ),
                traceparent,
            )
            for plan, traceparent in plans
            if plan.state in ENDED
        ]

    async def _told(
        self, ended: Sequence[tuple[StartedAs, PublishedEvent, str]]
    ) -> list[tuple[UUID, OutboxMessage]]:
        """What those are told who consume it, each with its run."""
        told: list[tuple[UUID, OutboxMessage]] = []
        wanted = {
            state: await self._news.wanted(state) for state in {plan.state for plan, _, _ in ended}
        }
        for plan, event, traceparent in ended:
            if wanted[plan.state]:
                message = replace(self._news.enqueued(event), traceparent=traceparent)
                told.append((plan.run_id, message))
        return told


def _row(plan: StartedAs) -> tuple[object, ...]:
    version, output = plan.version, plan.output
    return (
        plan.run_id,
        plan.state.value,
        version.version_id if version else None,
        version.version if version else None,
        version.job_slug if version else None,
        version.endpoint_id if version else None,
        version.queue_id if version else None,
        version.preprocess if version else False,
        plan.error,
        output.text if output else None,
    )


def execution_key(run_id: UUID) -> str:
    """The job key of a run's execution."""
    return f"job_run:EXECUTE_JOB:{run_id}"


def _execution(run_id: UUID, environment_id: UUID, traceparent: str) -> OutboxMessage:
    return OutboxMessage.enqueue(
        PERFORM_RUN_EXECUTION,
        orjson.dumps({"runId": str(run_id)}),
        environment_id=environment_id,
        job_key=execution_key(run_id),
        traceparent=traceparent,
    )
