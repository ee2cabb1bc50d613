"""The statements of a relay on the outbox table."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.outbox.columns import CLAIM_SECONDS, STORED_COLUMNS, message_from_row
from kongflow_common.outbox.enqueuer import Refusal
from kongflow_common.outbox.message import OutboxMessage

__all__ = ["OutboxClaims"]

_REFUSALS = RowParameters("r", id="uuid", refused="jsonb")


class OutboxClaims:
    """Claims, releases, parks and deletes the messages of one outbox for one relay.

    All raise DependencyUnavailable when the database cannot be reached.
    """

    def __init__(self, database: Database, schema: str, claimed_by: str, batch_size: int) -> None:
        self._database = database
        self._schema = schema
        self._claimed_by = claimed_by
        outbox = f"{schema}.outbox"
        # The limit is written out and the look for earlier messages kept from becoming a join:
        # either way the plan stays a walk along two indexes, however large the table is.
        self._claim = f"""
            WITH due AS MATERIALIZED (
                SELECT o.id FROM {outbox} o
                WHERE o.refused IS NULL
                  AND (o.claimed_until IS NULL OR o.claimed_until < clock_timestamp())
                  AND CASE WHEN o.job_key IS NULL THEN true ELSE NOT EXISTS (
                      SELECT FROM {outbox} earlier
                      WHERE earlier.job_key = o.job_key AND earlier.id < o.id
                        AND earlier.refused IS NULL
                        AND earlier.claimed_until >= clock_timestamp()) END
                ORDER BY o.id LIMIT {batch_size:d} FOR UPDATE SKIP LOCKED
            )
            UPDATE {outbox} SET claimed_by = %(claimed_by)b,
                claimed_until = clock_timestamp() + interval '{CLAIM_SECONDS} seconds'
            WHERE id IN (SELECT id FROM due)
            RETURNING {STORED_COLUMNS}
        """  # nosec B608 - the schema is the program's own
        self._release = f"""
            UPDATE {outbox} SET claimed_until = NULL, claimed_by = NULL
            WHERE id = ANY(%(ids)b) AND claimed_by = %(claimed_by)b AND refused IS NULL
        """  # nosec B608
        self._release_all = f"""
            UPDATE {outbox} SET claimed_until = NULL, claimed_by = NULL
            WHERE claimed_by = %(claimed_by)b AND refused IS NULL
        """  # nosec B608
        self._defer = f"""
            UPDATE {outbox} SET claimed_by = NULL,
                claimed_until = clock_timestamp() + %(seconds)b * interval '1 second'
            WHERE id = %(id)b
        """  # nosec B608
        self._park = f"""
            UPDATE {outbox} o SET refused = r.refused, claimed_until = NULL, claimed_by = NULL
            FROM {_REFUSALS.source} WHERE o.id = r.id
        """  # nosec B608
        self._delete = f"DELETE FROM {outbox} WHERE id = ANY(%(ids)b)"  # nosec B608

    async def claim(self) -> list[OutboxMessage] | None:
        """Claim what is due, oldest first; None when another relay is claiming right now.

        A message waits while an earlier one with its job key is claimed: by whomever. That only
        holds when claims see each other, hence the lock before the statement's snapshot.
        """
        async with self._database.pool.connection() as connection, connection.transaction():
            locked = await connection.execute(
                "SELECT pg_try_advisory_xact_lock(hashtext('kongflow.outbox'), hashtext(%(name)b))",
                {"name": self._schema},
            )
            if await locked.fetchone() != (True,):
                return None
            cursor = connection.cursor(binary=True)
            await cursor.execute(self._claim, {"claimed_by": self._claimed_by})
            messages = [message_from_row(row) for row in await cursor.fetchall()]
        # RETURNING has an order of its own.
        messages.sort(key=lambda message: message.id)
        return messages

    async def release(self, ids: Sequence[UUID]) -> None:
        """Give claims back, so that they can be claimed again at once."""
        await self._database.pool.execute(
            self._release,
            {"ids": array_parameter("uuid", ids), "claimed_by": self._claimed_by},
        )

    async def release_all(self) -> None:
        """Give back what an earlier life under this name has left claimed."""
        await self._database.pool.execute(self._release_all, {"claimed_by": self._claimed_by})

    async def defer(self, message_id: UUID, seconds: float) -> None:
        """Keep a message from being claimed for a while."""
        await self._database.pool.execute(self._defer, {"id": message_id, "seconds": seconds})

    async def park(self, refusals: Mapping[UUID, Refusal]) -> None:
        """Set refused messages aside for good, with the reason."""
        rows = [(message_id, orjson.dumps(refusal)) for message_id, refusal in refusals.items()]
        await self._database.pool.execute(self._park, _REFUSALS.bind(rows))

    async def delete(self, ids: Sequence[UUID]) -> None:
        """Delete messages that have been sent."""
        await self._database.pool.execute(self._delete, {"ids": array_parameter("uuid", ids)})
