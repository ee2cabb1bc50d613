"""Tells whoever listens in Redis of realtime events, as soon as the log has them.

Best effort: an event is pushed after its transaction, by a task of its own. While Redis is away,
or slow, the oldest are left out; the log has them all, and a watch tells of them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import orjson
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError

from kongflow_common.eventing.envelope import PublishedEvent

__all__ = ["RealtimeChannel", "channel_of"]

_logger = logging.getLogger(__name__)

# What waits is news: more than this is older than anybody wants to hear it.
_MAX_WAITING: Final = 1_000
_AT_ONCE: Final = 100
_TIMEOUT_SECONDS: Final = 1.0
_PAUSE_WHILE_AWAY_SECONDS: Final = 1.0


def channel_of(resource_id: str) -> str:
    """The channel that tells of a resource (the original's)."""
    return f"realtime:{resource_id}"


class RealtimeChannel:
    """Publishes events to `realtime:<resource id>`, each as the JSON of its envelope."""

    def __init__(self, redis_url: str) -> None:
        pool: ConnectionPool = ConnectionPool.from_url(
            redis_url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        self._redis = Redis(connection_pool=pool)
        self._redis.auto_close_connection_pool = True
        self._waiting: deque[PublishedEvent] = deque(maxlen=_MAX_WAITING)
        self._some = asyncio.Event()
        self._is_away = False

    def push(self, events: Sequence[PublishedEvent]) -> None:
        """Have events told of soon; returns at once, and never fails."""
        self._waiting.extend(events)
        self._some.set()

    async def run(self) -> None:
        """Tell of what is pushed until cancelled."""
        try:
            while True:
                await self._some.wait()
                self._some.clear()
                while self._waiting:
                    count = min(_AT_ONCE, len(self._waiting))
                    await self._tell([self._waiting.popleft() for _ in range(count)])
        finally:
            await self._redis.aclose()

    async def _tell(self, events: Sequence[PublishedEvent]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for event in events:
                    pipeline.publish(channel_of(event.resource_id), orjson.dumps(event.document()))
                await pipeline.execute()
        except (RedisError, OSError) as error:
            if not self._is_away:
                _logger.warning("realtime events are told of by watches alone: %s", error)
            self._is_away = True
            # What comes meanwhile waits, up to the newest thousand.
            await asyncio.sleep(_PAUSE_WHILE_AWAY_SECONDS)
            return
        if self._is_away:
            _logger.info("realtime events are told of in Redis again")
        self._is_away = False
