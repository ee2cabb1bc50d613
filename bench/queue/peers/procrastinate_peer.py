"""procrastinate with its asynchronous psycopg connector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate

from bench.queue.program import OnJob, database_url, main

CONCURRENCY = 20


class ProcrastinateQueue:
    """One task without a lock."""

    def __init__(self, app: procrastinate.App) -> None:
        self._app = app
        self._on_job: OnJob = lambda _sent: None
        self._noop = app.task(name="noop", queue="bench")(self._run)

    async def _run(self, sent: int) -> None:
        self._on_job(sent)

    async def add(self, sent: int) -> None:
        """One job."""
        await self._noop.defer_async(sent=sent)

    async def add_many(self, count: int) -> None:
        """So many in one statement."""
        await self._noop.batch_defer_async(*({"sent": 0} for _ in range(count)))

    async def work(self, on_job: OnJob) -> None:
        """Hears of new jobs by NOTIFY, as it does by default."""
        self._on_job = on_job
        await self._app.run_worker_async(
            queues=["bench"], concurrency=CONCURRENCY, install_signal_handlers=False
        )


def _app() -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(
        conninfo=database_url(), min_size=4, max_size=CONCURRENCY + 2
    )
    return procrastinate.App(connector=connector)


def prepare() -> None:
    """Its schema."""
    connector = procrastinate.SyncPsycopgConnector(conninfo=database_url())
    with procrastinate.App(connector=connector).open() as app:
        app.schema_manager.apply_schema()


@asynccontextmanager
async def open_queue() -> AsyncIterator[ProcrastinateQueue]:
    """An application with its pool."""
    async with _app().open_async() as app:
        yield ProcrastinateQueue(app)


if __name__ == "__main__":
    main(open_queue, prepare)
