"""How many events in bulk are worked on at once: memory and connections have an end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from kongflow_common.errors import ResourceExhausted

__all__ = ["BulkAdmission"]

_MAX_BYTES: Final = 128 * 1024 * 1024
_RETRY_AFTER_SECONDS: Final = 0.5


class BulkAdmission:
    """Lets so many calls work at a time, and so many bytes wait for their turn.

    A call on its own is always let in.
    """

    def __init__(self, *, at_once: int, max_bytes: int = _MAX_BYTES) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._max_bytes = max_bytes
        self._bytes = 0

    @asynccontextmanager
    async def admitted(self, size: int) -> AsyncIterator[None]:
        """Work on `size` bytes of events inside the block. Raises ResourceExhausted."""
        if self._bytes and self._bytes + size > self._max_bytes:
            raise ResourceExhausted(
                "more events are being taken in at this moment than the server can hold",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        async with self.turn(size):
            yield

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """The same for who takes in no more before this is done: it waits, however much waits."""
        self._bytes += size
        try:
            async with self._turns:
                yield
        finally:
            self._bytes -= size
