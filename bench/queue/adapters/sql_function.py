"""Puts jobs into the ledger by a SQL function, in the sender's transaction: one shared database.

The function does what an enqueue without keys does, and wakes the workers by NOTIFY; nothing goes
through the server or Redis. Policies of the kind are the sender's to know.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
import uvloop

from bench.queue.program import database_url, main
from kongflow_common.batcher import Batcher
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.ids import new_id

QUEUE = "events"
CREATE = b"""
CREATE FUNCTION workerqueue.enqueue(
    ids uuid[], kind text, queue text, priority smallint, max_attempts integer, args jsonb[])
RETURNS SETOF uuid LANGUAGE sql VOLATILE AS $$
    WITH stored AS (
        INSERT INTO workerqueue.queued_jobs
            (id, kind, args, queue, priority, max_attempts, run_at, state)
        SELECT j.id, enqueue.kind, j.args, enqueue.queue, enqueue.priority,
               enqueue.max_attempts, now(), 'available'
        FROM unnest(enqueue.ids, enqueue.args) AS j (id, args)
        WHERE NOT EXISTS (SELECT FROM workerqueue.command_receipts r WHERE r.outbox_id = j.id)
        ON CONFLICT DO NOTHING
        RETURNING id),
    woken AS (SELECT pg_notify('kongflow_workerqueue', enqueue.queue))
    SELECT stored.id FROM stored, woken
$$
"""
JOBS = RowParameters("j", ids="uuid", args="jsonb")
ENQUEUE = (
    "SELECT workerqueue.enqueue(%(j_ids)b, %(kind)b::text, %(queue)b::text, "
    "2::smallint, 25, %(j_args)b)"
)


class SqlQueue:
    """Jobs are in the ledger when the sender's transaction is committed."""

    def __init__(self, database: Database, kind: str) -> None:
        self._pool = database.pool
        self._kind = kind
        self._batcher: Batcher[int, None] = Batcher(self._write, name="bench enqueue")

    async def add(self, sent: int) -> None:
        """One job; those of concurrent callers share a transaction, as in services."""
        await self._batcher.submit(sent)

    async def add_many(self, count: int) -> None:
        """So many in one transaction."""
        await self._write([0] * count)

    async def _write(self, sent: Sequence[int]) -> list[None]:
        rows = [(new_id(), b'{"sent":"%d"}' % each) for each in sent]
        stored = await self._pool.execute(
            ENQUEUE, {**JOBS.bind(rows), "kind": self._kind, "queue": QUEUE}
        )
        if len(stored) != len(sent):
            raise SystemExit("jobs were not stored")
        return [None] * len(sent)


def prepare() -> None:
    """The function, which no migration of the worker queue makes."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute(CREATE)


@asynccontextmanager
async def open_queue() -> AsyncIterator[SqlQueue]:
    """A sender with connections to the shared database."""
    async with Database.connect(database_url(), pool_size=4, application_name="bench") as database:
        yield SqlQueue(database, os.environ["BENCH_KIND"])


if __name__ == "__main__":
    uvloop.install()
    main(open_queue, prepare)
