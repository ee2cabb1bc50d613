"""Numbers pending runs, marks them queued and enqueues their execution, with one statement."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.start_messages import StartMessages, TracedStart
from kongflow_runs.adapters.tables import SCHEMA
from kongflow_runs.domain.run import RunState, VersionSelector
from kongflow_runs.domain.start import PendingRun, StartedAs

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
        self._messages = StartMessages(news)

    async def pending(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[PendingRun]:
        """Those of the runs that are pending."""
        rows = await self._pool.execute(
            PENDING, {"ids": array_parameter("uuid", run_ids), "environment_id": environment_id}
        )
        return [
            PendingRun(id_, environment_id, job_id, VersionSelector(alias, version), version_id)
            for id_, job_id, alias, version, version_id in rows
        ]

    async def start(
        self, environment_id: UUID, plans: Sequence[tuple[StartedAs, str]]
    ) -> Sequence[tuple[UUID, RunState]]:
        """Carries plans out on those that are still pending; see RunStarter.start."""
        sent, ended = await self._messages.sent_and_logged(
            [TracedStart(plan, environment_id, traceparent) for plan, traceparent in plans]
        )
        claimed_by = self._relay.claimed_by_for_new_rows()
        rows = await self._pool.execute(
            START,
            {
                **_PLANS.bind([_row(plan) for plan, _ in plans]),
                **_MESSAGES.bind(
                    [message for _, message in sent], claimed_by, [run_id for run_id, _ in sent]
                ),
                **_LOGGED.bind(ended),
                "environment_id": environment_id,
            },
        )
        started = {run_id: RunState(status) for run_id, status in rows}
        self._relay.committed(
            [message for run_id, message in sent if run_id in started], claimed_by
        )
        return list(started.items())


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
