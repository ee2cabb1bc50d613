"""Ends runs before they have ended by themselves, each part with one statement."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.start_messages import PERFORM_RUN_EXECUTION, execution_key
from kongflow_runs.adapters.tables import SCHEMA
from kongflow_runs.domain.run import ENDED, RunState

_ENDED = ", ".join(f"'{state.value}'" for state in sorted(ENDED))
_MESSAGES = OutboxRows(SCHEMA, join="JOIN changed ON changed.id = o.owner")
_LOGGED = PublishedRows(SCHEMA, join="JOIN changed ON changed.id = v.owner")

# Each branch has an index of its own. IS TRUE keeps a plan that was made on an empty table from
# walking through the environment instead.
_OF_EVENT = f"""
    SELECT id FROM runs.job_runs
    WHERE event_record_id = %(event_record_id)b::uuid AND id > %(after)b::uuid
      AND (environment_id = %(environment_id)b::uuid) IS TRUE
      AND (status NOT IN ({_ENDED})) IS TRUE
"""  # nosec B608 - made of constants
UNFINISHED = f"""
SELECT id FROM (
    {_OF_EVENT} AND dispatcher_id IS NOT NULL
    UNION ALL
    {_OF_EVENT} AND dispatcher_id IS NULL) AS found
ORDER BY id LIMIT %(limit)b::integer
"""  # nosec B608

# What there is to tell of those that are about to be cancelled.
ABOUT = f"""
SELECT id, job_slug, job_version FROM runs.job_runs
WHERE id = ANY(%(ids)b) AND (environment_id = %(environment_id)b::uuid) IS TRUE
  AND (status NOT IN ({_ENDED})) IS TRUE
"""  # nosec B608

# Locked first, in one order, as the starts of runs do. An execution that is under way keeps its
# queued job; what it would store finds the run no longer executing.
CANCEL = f"""
WITH locked AS (
    SELECT id FROM runs.job_runs
    WHERE id = ANY(%(ids)b) AND (environment_id = %(environment_id)b::uuid) IS TRUE
      AND (status NOT IN ({_ENDED})) IS TRUE
    ORDER BY id
    FOR UPDATE
), changed AS (
    UPDATE runs.job_runs run SET status = 'CANCELED', completed_at = now()
    FROM locked WHERE run.id = locked.id
    RETURNING run.id
), sent AS ({_MESSAGES.insert}), logged AS ({_LOGGED.insert})
SELECT id FROM changed ORDER BY id
"""  # nosec B608


class PostgresRunCanceller:
    """The RunCanceller on PostgreSQL."""

    def __init__(self, database: Database, relay: OutboxRelay, news: RunNews) -> None:
        self._pool = database.pool
        self._relay = relay
        self._news = news

    async def unfinished(
        self, environment_id: UUID, event_record_id: UUID, after: UUID, limit: int
    ) -> Sequence[UUID]:
        """The runs of the event that have not ended; see RunCanceller.unfinished."""
        rows = await self._pool.execute(
            UNFINISHED,
            {
                "environment_id": environment_id,
                "event_record_id": event_record_id,
                "after": after,
                "limit": limit,
            },
        )
        return [row[0] for row in rows]

    async def cancel(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Cancels those that have not ended; see RunCanceller.cancel."""
        events = await self._events(environment_id, run_ids)
        if not events:
            return []
        sent = await self._messages(environment_id, events)
        claimed_by = self._relay.claimed_by_for_new_rows()
        rows = await self._pool.execute(
            CANCEL,
            {
                **_MESSAGES.bind(
                    [message for _, message in sent], claimed_by, [run_id for run_id, _ in sent]
                ),
                **_LOGGED.bind(events),
                # No others than those that it is told of.
                "ids": array_parameter("uuid", [run_id for run_id, _ in events]),
                "environment_id": environment_id,
            },
        )
        cancelled = {row[0] for row in rows}
        self._relay.committed(
            [message for run_id, message in sent if run_id in cancelled], claimed_by
        )
        return [row[0] for row in rows]

    async def _events(
        self, environment_id: UUID, run_ids: Sequence[UUID]
    ) -> list[tuple[UUID, PublishedEvent]]:
        """What is told of each run that has not ended."""
        rows = await self._pool.execute(
            ABOUT, {"ids": array_parameter("uuid", run_ids), "environment_id": environment_id}
        )
        return [
            (
                run_id,
                self._news.ended(
                    environment_id,
                    run_id,
                    RunState.CANCELED,
                    job_slug=slug,
                    job_version=version,
                ),
            )
            for run_id, slug, version in rows
        ]

    async def _messages(
        self, environment_id: UUID, events: Sequence[tuple[UUID, PublishedEvent]]
    ) -> list[tuple[UUID, OutboxMessage]]:
        """What is sent with the end of each run."""
        # The start of a run has no key to be removed by; it finds the run no longer pending.
        sent = [
            (
                run_id,
                OutboxMessage.remove(
                    PERFORM_RUN_EXECUTION, execution_key(run_id), environment_id=environment_id
                ),
            )
            for run_id, _ in events
        ]
        if await self._news.wanted(RunState.CANCELED):
            sent += [(run_id, self._news.enqueued(event)) for run_id, event in events]
        return sent
