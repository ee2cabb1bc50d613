"""The connection to Redis and the names of the keys, as stock arq has them."""

import orjson
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool

__all__ = ["backlog_key", "open_redis", "queue_key", "wake_channel"]

_TIMEOUT_SECONDS = 1.0
"""How long Redis may take: it is a shortcut, and PostgreSQL is there without it."""


def queue_key(queue: str) -> str:
    """Returns the key of a queue's window; what arq calls the queue's name."""
    return f"arq:queue:{queue}"


def wake_channel(queue: str) -> str:
    """Returns the channel on which a queue's workers are woken."""
    return f"kongflow:wake:{queue}"


def backlog_key(queue: str) -> str:
    """Returns the key that is there while jobs of a queue wait outside its window."""
    return f"kongflow:backlog:{queue}"


def open_redis(url: str) -> ArqRedis:
    """Opens a pool of connections, lazily; it is closed by `aclose`.

    A command that fails is not tried again: callers have another way.
    """
    pool: ConnectionPool = ConnectionPool.from_url(
        url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    )
    redis = ArqRedis(pool_or_conn=pool, job_serializer=orjson.dumps, job_deserializer=orjson.loads)
    redis.auto_close_connection_pool = True
    return redis
