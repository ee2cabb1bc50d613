"""Finding a moment in which a server has taken every call that has arrived.

grpc answers calls that have arrived and were not taken yet with CANCELLED when a server stops,
and clients do not repeat what was cancelled. Python takes one call at a time, so under load
there are always some. A draining server therefore goes on taking calls, and refuses them with
UNAVAILABLE, until it has seen that none is waiting: calls are taken in the order of their
arrival, so when no other call was taken while one to itself was answered, none was there.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

__all__ = ["QuietMoment"]

_logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_WAIT_AT_MOST_SECONDS = 1.0
_CHECK_PATH = "/grpc.health.v1.Health/Check"
_CHECK = health_pb2.HealthCheckRequest().SerializeToString()
_OPTIONS = [
    # The connection is made once: nobody can make another.
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
    ("grpc.enable_retries", 0),
]


class QuietMoment:
    """A server's connection to itself, over a socket that is removed once it is connected."""

    def __init__(self, server: grpc.aio.Server) -> None:
        """Add the socket; to be done before the server starts."""
        self._folder = Path(tempfile.mkdtemp(prefix="kongflow-"))
        address = f"unix:{self._folder / 'self'}"
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        # Any: without serializers a call takes and gives bytes, which the types do not say.
        self._check: Any = self._channel.unary_unary(_CHECK_PATH)
        try:
            server.add_insecure_port(address)
        except RuntimeError as error:
            # The folder's path may be too long for a socket; draining is then less gentle.
            _logger.warning("no connection to itself: %s", error)

    async def connect(self) -> None:
        """Connect, and leave nothing behind in the file system."""
        try:
            await self._check(_CHECK, timeout=_CONNECT_SECONDS)
        except grpc.aio.AioRpcError as error:
            _logger.warning("no connection to itself: %s", error.details())
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def wait(self, arrivals: Callable[[], int], at_most: float) -> None:
        """Wait for such a moment, but not longer than `at_most` seconds, nor than a second.

        `arrivals` tells how many calls have been taken so far. Ends the connection.
        """
        ends_at = perf_counter() + min(at_most, _WAIT_AT_MOST_SECONDS)
        try:
            while (left := ends_at - perf_counter()) > 0:
                before = arrivals()
                await self._check(_CHECK, timeout=left)
                if arrivals() == before:
                    return
        except grpc.aio.AioRpcError as error:
            _logger.warning("draining without a quiet moment: %s", error.details())
        finally:
            await self._channel.close()
