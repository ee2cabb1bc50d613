"""Hears in PostgreSQL that a queue has jobs which did not reach its window."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NoReturn

import psycopg

from kongflow_common.db.connection_pool import connection_parameters

__all__ = ["ORDERS_CHANNEL", "WAKE_CHANNEL", "PostgresWakeUps"]

logger = logging.getLogger(__name__)

WAKE_CHANNEL = "kongflow_workerqueue"
ORDERS_CHANNEL = "kongflow_workerqueue_orders"
"""Where workers hear of operators' orders: `<id>:<turn>` of a running job that was cancelled, an
empty text when queues were paused or resumed."""
_QUIET_SECONDS = 5.0
_AWAY_SECONDS = 0.5
_STATEMENT_TIMEOUT = "5s"


class PostgresWakeUps:
    """Listens on a connection of its own. `wake` gets the queue, `obey` what an order says."""

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        wake: Callable[[str], None],
        obey: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._conninfo = connection_parameters(
            url,
            application_name="kongflow-worker-listen",
            settings={"statement_timeout": _STATEMENT_TIMEOUT},
        )
        self._queues = frozenset(queues)
        self._wake = wake
        self._obey = obey

    async def run(self) -> None:
        """Listens until cancelled, with another connection whenever one is lost."""
        while True:
            try:
                await self._listen()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.debug("no wake-ups from PostgreSQL: %s", error)
                await asyncio.sleep(_AWAY_SECONDS)

    async def _listen(self) -> NoReturn:
        async with await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True
        ) as connection:
            await connection.execute(f"LISTEN {WAKE_CHANNEL}")
            await connection.execute(f"LISTEN {ORDERS_CHANNEL}")
            # What was said before nobody has heard.
            for queue in self._queues:
                self._wake(queue)
            self._obey("")
            while True:
                async for notification in connection.notifies(timeout=_QUIET_SECONDS):
                    if notification.channel == ORDERS_CHANNEL:
                        self._obey(notification.payload)
                    elif notification.payload in self._queues:
                        self._wake(notification.payload)
                # A server that is gone with its host does not say so: asking it does.
                await connection.execute("SELECT 1")
