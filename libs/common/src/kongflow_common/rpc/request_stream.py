"""The requests of a stream, one after the other, until it must end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

from google.protobuf.message import Message

from kongflow_common.rpc.answer_stream import next_unless

__all__ = ["decoded_requests"]


async def decoded_requests(
    raw_requests: AsyncIterator[bytes],
    decode: Callable[[bytes], Message],
    ending: "asyncio.Future[NoReturn]",
) -> AsyncIterator[Message]:
    """Decode requests as they are asked for.

    What `ending` ends with is raised between requests, so that what was read can be answered.
    """
    requests = _decoded(raw_requests, decode)
    while (request := await next_unless(ending, requests)) is not None:
        yield request


async def _decoded(
    raw_requests: AsyncIterator[bytes], decode: Callable[[bytes], Message]
) -> AsyncIterator[Message]:
    async for raw in raw_requests:
        yield decode(raw)
