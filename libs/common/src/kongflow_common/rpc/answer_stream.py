"""The answers of a stream, one after the other, until the server drains."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from google.protobuf.message import Message

from kongflow_common.rpc.error_catalog import ServerDraining

__all__ = ["next_unless"]


async def next_unless(
    draining: "asyncio.Future[None]", answers: AsyncIterator[Message]
) -> Message | None:
    """The next answer, None after the last. Raises ServerDraining."""
    following = asyncio.ensure_future(_next_of(answers))
    try:
        await asyncio.wait((draining, following), return_when=asyncio.FIRST_COMPLETED)
        if draining.done():
            raise ServerDraining
        return await following
    finally:
        if not following.done():
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _next_of(answers: AsyncIterator[Message]) -> Message | None:
    return await anext(answers, None)
