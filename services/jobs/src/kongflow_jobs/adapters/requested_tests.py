"""Remembers tests by their request ids."""

from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_jobs.application.ports import EventOfTest, StoredEvent

_FIND = """
SELECT version_id, event_record_id, event_id, external_account_id FROM jobs.test_requests
WHERE environment_id = %(environment_id)b::uuid AND request_id = %(request_id)b::text
"""

# Whoever keeps one takes old ones away: so there are never more than those of the last days.
_KEEP = """
WITH old AS MATERIALIZED (
    SELECT environment_id, request_id FROM jobs.test_requests
    WHERE created_at < now() - interval '7 days' AND request_id <> %(request_id)b::text
    ORDER BY created_at LIMIT 10 FOR UPDATE SKIP LOCKED
), forgotten AS (
    DELETE FROM jobs.test_requests t USING old o
    WHERE (t.environment_id, t.request_id) = (o.environment_id, o.request_id)
)
INSERT INTO jobs.test_requests
    (environment_id, request_id, version_id, event_record_id, event_id, external_account_id)
VALUES (%(environment_id)b::uuid, %(request_id)b::text, %(version_id)b::uuid,
        %(event_record_id)b::uuid, %(event_id)b::text, %(external_account_id)b::uuid)
ON CONFLICT (environment_id, request_id) DO NOTHING
RETURNING version_id
"""


class PostgresRequestedTests:
    """The RequestedTests on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def find(self, environment_id: UUID, request_id: str) -> EventOfTest | None:
        """The test that holds a request id, or ``None``."""
        rows = await self._pool.execute(
            _FIND, {"environment_id": environment_id, "request_id": request_id}
        )
        if not rows:
            return None
        [(version_id, record_id, event_id, account_id)] = rows
        return EventOfTest(version_id, StoredEvent(record_id, event_id, account_id, created=False))

    async def keep(self, environment_id: UUID, request_id: str, test: EventOfTest) -> EventOfTest:
        """Keeps a test under a request id; answers the one that holds it."""
        rows = await self._pool.execute(
            _KEEP,
            {
                "environment_id": environment_id,
                "request_id": request_id,
                "version_id": test.version_id,
                "event_record_id": test.event.record_id,
                "event_id": test.event.event_id,
                "external_account_id": test.event.external_account_id,
            },
        )
        if rows:
            return test
        return await self.find(environment_id, request_id) or test
