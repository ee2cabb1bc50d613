"""Answers whose framing has no end: they are cut off before they cost the others their turn.

The limits on bodies see what is inside an answer. A program can also send interim answers, or
chunks that are mostly frame, as fast as the network carries them, and this process would read
them for as long as the call may take.
"""

import asyncio
import functools
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["BoundedConnector", "BoundedHandler"]

_MAX_INTERIM_ANSWERS = 20
_MAX_HEAD_BYTES = 1_000_000
# Read in one go while the answer has not begun: interim answers are small, and each costs.
_SLICE_BYTES = 4_096


class BoundedHandler(ResponseHandler):
    """Reads one answer from one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._room = _MAX_HEAD_BYTES
        self._interim = 0
        self._answered = False
        self._flooded = False

    def expect_body(self, most: int) -> None:
        """Take as many bytes of body: on the wire twice that, with what stands around them."""
        self._room = 2 * most + _MAX_HEAD_BYTES

    def data_received(self, data: bytes) -> None:
        """Take bytes off the wire."""
        while data and not self._answered and not self._flooded:
            self._take(data[:_SLICE_BYTES])
            data = data[_SLICE_BYTES:]
            if not data:
                return
        if not self._flooded:
            self._take(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take an answer's head."""
        if 100 <= data[0].code < 200:
            self._interim += 1
        else:
            self._answered = True
        super().feed_data(data, size)

    def _take(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room >= 0:
            super().data_received(data)
        if self._room < 0 or self._interim > _MAX_INTERIM_ANSWERS:
            self._flooded = True
            self.set_exception(aiohttp.ClientPayloadError("the answer does not come to its point"))
            if self.transport is not None:
                self.transport.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """Reads each connection with a BoundedHandler; takes what a TCPConnector takes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Where the library names its own; tests see that it is asked.
        handler: type[ResponseHandler] = BoundedHandler
        self._factory = functools.partial(handler, loop=asyncio.get_running_loop())
