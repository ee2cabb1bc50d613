"""pgqueuer with asyncpg, its first choice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.queue.program import OnJob, database_url, main

BATCH_SIZE = 100
POOL_SIZE = 16


class PgQueuerQueue:
    """One entrypoint; finished jobs are written by its own buffer, a batch at a time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = Queries.from_asyncpg_pool(pool)

    async def add(self, sent: int) -> None:
        """One job."""
        await self._queries.enqueue("noop", b"%d" % sent)

    async def add_many(self, count: int) -> None:
        """So many in one statement."""
        await self._queries.enqueue(["noop"] * count, [b"0"] * count, [0] * count)

    async def work(self, on_job: OnJob) -> None:
        """Hears of new jobs by NOTIFY, as it does by default."""
        # Listening needs a connection that is not shared.
        connection = await asyncpg.connect(database_url())
        queuer = PgQueuer.from_asyncpg_connection(connection)

        async def noop(job: Job) -> None:
            on_job(int(job.payload or b"0"))

        queuer.entrypoint("noop")(noop)
        await queuer.run(batch_size=BATCH_SIZE)


def prepare() -> None:
    """Its tables."""
    asyncio.run(_install())


async def _install() -> None:
    connection = await asyncpg.connect(database_url())
    try:
        await Queries.from_asyncpg_connection(connection).install()
    finally:
        await connection.close()


@asynccontextmanager
async def open_queue() -> AsyncIterator[PgQueuerQueue]:
    """A pool for the senders."""
    async with asyncpg.create_pool(database_url(), min_size=1, max_size=POOL_SIZE) as pool:
        yield PgQueuerQueue(pool)


if __name__ == "__main__":
    uvloop.install()
    main(open_queue, prepare)
