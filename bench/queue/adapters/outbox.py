"""Puts jobs into an outbox in the sender's transaction; its relay takes them to the server."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop
from sqlalchemy import MetaData, create_engine
from sqlalchemy.schema import CreateSchema

from bench.queue.program import database_url, main
from kongflow_common.auth.service_tokens import ServiceTokenSigner, parse_private_key
from kongflow_common.batcher import Batcher
from kongflow_common.db.engine import Database
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.outbox.table import outbox_table
from kongflow_common.rpc.channel import ServiceCaller, open_channel
from kongflow_common.rpc.worker_queue_enqueuer import GrpcEnqueuer

SCHEMA = "bench"
ROWS = OutboxRows(SCHEMA)
DRAIN_SECONDS = 60.0


class OutboxQueue:
    """Jobs are stored when the outbox's row is committed."""

    def __init__(self, database: Database, relay: OutboxRelay, kind: str) -> None:
        self._pool = database.pool
        self._relay = relay
        self._kind = kind
        self._batcher: Batcher[OutboxMessage, None] = Batcher(self._write, name="bench outbox")

    async def add(self, sent: int) -> None:
        """One job; those of concurrent callers share a transaction, as in services."""
        await self._batcher.submit(self._message(sent))

    async def add_many(self, count: int) -> None:
        """So many in one transaction."""
        await self._write([self._message(0) for _ in range(count)])

    async def _write(self, messages: Sequence[OutboxMessage]) -> list[None]:
        claimed_by = self._relay.claimed_by_for_new_rows()
        await self._pool.execute(ROWS.insert, ROWS.bind(messages, claimed_by))
        self._relay.committed(messages, claimed_by)
        return [None] * len(messages)

    def _message(self, sent: int) -> OutboxMessage:
        return OutboxMessage.enqueue(self._kind, b'{"sent":"%d"}' % sent, environment_id=None)


def prepare() -> None:
    """The outbox's table, in a schema of the sender's."""
    metadata = MetaData()
    outbox_table(metadata, SCHEMA)
    engine = create_engine(database_url().replace("postgresql:", "postgresql+psycopg:", 1))
    with engine.begin() as connection:
        connection.execute(CreateSchema(SCHEMA))
        metadata.create_all(connection)
    engine.dispose()


@asynccontextmanager
async def open_queue() -> AsyncIterator[OutboxQueue]:
    """A sender with its relay."""
    signer = ServiceTokenSigner(
        os.environ["BENCH_TARGET"], parse_private_key(os.environ["BENCH_KEY"])
    )
    async with (
        open_channel(os.environ["BENCH_SERVER"]) as channel,
        Database.connect(database_url(), pool_size=4, application_name="bench") as database,
    ):
        await asyncio.wait_for(channel.channel_ready(), 20.0)
        enqueuer = GrpcEnqueuer(ServiceCaller(channel, "workerqueue", signer))
        async with OutboxRelay(database, SCHEMA, enqueuer, instance="bench") as relay:
            yield OutboxQueue(database, relay, os.environ["BENCH_KIND"])
            # What is left when the program ends nobody would send.
            async with asyncio.timeout(DRAIN_SECONDS):
                await emptied(database)


async def emptied(database: Database) -> None:
    """Waits until the relay has sent all."""
    while await database.pool.execute("SELECT FROM bench.outbox LIMIT 1"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    uvloop.install()
    main(open_queue, prepare)
