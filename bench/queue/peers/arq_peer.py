"""arq as it is: its own worker, Redis alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func

from bench.queue.program import OnJob, main, redis_url

MAX_JOBS = 100
# The default of half a second drains 200 jobs/s, whatever the worker could do.
POLL_SECONDS = 0.01


class ArqQueue:
    """Has no call for many jobs: they are sent at once over the pool."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def add(self, sent: int) -> None:
        """One job."""
        await self._redis.enqueue_job("noop", sent)

    async def add_many(self, count: int) -> None:
        """So many at once."""
        await asyncio.gather(*(self._redis.enqueue_job("noop", 0) for _ in range(count)))

    async def work(self, on_job: OnJob) -> None:
        """The stock worker."""

        async def noop(_ctx: dict[Any, Any], sent: int) -> None:
            on_job(sent)

        worker = Worker(
            functions=[func(cast("Any", noop), name="noop", keep_result=0)],
            redis_pool=self._redis,
            max_jobs=MAX_JOBS,
            poll_delay=POLL_SECONDS,
            handle_signals=False,
            log_results=False,
        )
        await worker.async_run()


@asynccontextmanager
async def open_queue() -> AsyncIterator[ArqQueue]:
    """A pool of arq's own."""
    redis = await create_pool(RedisSettings.from_dsn(redis_url()))
    try:
        yield ArqQueue(redis)
    finally:
        await redis.aclose()


if __name__ == "__main__":
    main(open_queue)
