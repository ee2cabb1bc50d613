"""Hears in Redis that a queue's window has been filled."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NoReturn

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from kongflow_workerqueue.adapters.redis_connection import wake_channel

__all__ = ["RedisWakeUps"]

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 5.0
_AWAY_SECONDS = 0.5


class RedisWakeUps:
    """Listens for pushes. `wake` gets a queue and how many entries were pushed."""

    def __init__(
        self, redis: ArqRedis, queues: Sequence[str], wake: Callable[[str, int], None]
    ) -> None:
        self._redis = redis
        self._queues = {wake_channel(queue).encode(): queue for queue in queues}
        self._wake = wake

    async def run(self) -> None:
        """Listens until cancelled, with another connection whenever one is lost."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                logger.debug("no wake-ups from Redis: %s", error)
                await asyncio.sleep(_AWAY_SECONDS)

    async def _listen(self) -> NoReturn:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(*self._queues)
            asked = False
            while True:
                message = await channel.get_message(timeout=_QUIET_SECONDS)
                if message is not None:
                    asked = False
                    self._hear(message["type"], message["channel"], message["data"])
                elif asked:
                    raise ConnectionError("Redis has fallen silent.")
                else:
                    # Silence may mean that there is nothing to say, or nobody to say it.
                    await channel.ping()
                    asked = True

    def _hear(self, kind: str, channel: bytes | None, data: object) -> None:
        queue = self._queues.get(channel or b"")
        if queue is None:
            return
        if kind == "message":
            text = data if isinstance(data, bytes) else b""
            self._wake(queue, int(text) if text.isdigit() else 1)
        elif kind == "subscribe":
            # What was pushed before nobody has heard.
            self._wake(queue, 1)
