"""The messages of a stream in groups: while one group is worked on the next gathers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_events.rpc.bulk_mapping import check_count

__all__ = ["RequestGroups"]

_MOST_EVENTS: Final = 1_000
_MOST_BYTES: Final = 4 * 1024 * 1024
# As the Batcher does: after a group of so many it pays to wait for as many more, for a moment.
_PACED_FROM: Final = 4
_PACE_SECONDS: Final = 0.010


class RequestGroups:
    """Reads ahead until so many events or bytes wait, and no further; inside its `async with`.

    So a caller that sends events one by one has them stored many at a time, and one that sends
    faster than they are stored is held up by the flow control of its own stream.
    """

    def __init__(self, messages: AsyncIterator[pb.SendEventStreamRequest]) -> None:
        self._messages = messages
        self._waiting: list[pb.SendEventRequest] = []
        self._bytes = 0
        self._taken = 0
        """How many events the last group had."""
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            # It is read here, lest the loop tells of it as of one that nobody noticed.
            _ = self._reading.cancelled() or self._reading.exception()

    async def take(self) -> tuple[list[pb.SendEventRequest], int]:
        """The events that wait, and their bytes; none at the end of the stream.

        Raises what ended the stream, once all that came before has been taken.
        """
        if self._reading is None:
            raise RuntimeError("the groups are not open")
        if self._taken >= _PACED_FROM:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PACE_SECONDS):
                    await self._wait_for(self._taken)
        await self._wait_for(1)
        if not self._waiting:
            await self._reading
        taken, size = self._waiting, self._bytes
        self._waiting, self._bytes, self._taken = [], 0, len(taken)
        self._changed.set()
        return taken, size

    async def _wait_for(self, events: int) -> None:
        """Wait for so many events, for as many as may wait, or for the end of the stream."""
        while not (
            self._is_full
            or len(self._waiting) >= events
            or self._reading is None
            or self._reading.done()
        ):
            self._changed.clear()
            await self._changed.wait()

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= _MOST_EVENTS or self._bytes >= _MOST_BYTES

    async def _read(self) -> None:
        try:
            async for message in self._messages:
                check_count(message.requests, at_most=_MOST_EVENTS)
                self._waiting.extend(message.requests)
                self._bytes += message.ByteSize()
                self._changed.set()
                while self._is_full:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            asyncio.get_running_loop().call_soon(self._changed.set)
