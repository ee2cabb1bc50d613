"""The answers of a stream, one after the other, until it must end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NoReturn

from google.protobuf.message import Message

__all__ = ["next_unless"]


async def next_unless(
    ending: "asyncio.Future[NoReturn]", answers: AsyncIterator[Message]
) -> Message | None:
    """The next answer, None after the last. Raises what `ending` ends with, when it does."""
    following = asyncio.ensure_future(_next_of(answers))
    try:
        await asyncio.wait((ending, following), return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            ending.result()
        return await following
    finally:
        if not following.done():
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _next_of(answers: AsyncIterator[Message]) -> Message | None:
    return await anext(answers, None)
