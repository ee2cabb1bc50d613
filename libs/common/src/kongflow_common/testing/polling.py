"""Waiting for something to become true, without guessing how long it takes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

__all__ = ["eventually"]

Value = TypeVar("Value")

_INTERVAL_SECONDS = 0.005


@overload
async def eventually(
    predicate: Callable[[], Awaitable[Value]], deadline: float = 10.0
) -> Value: ...
@overload
async def eventually(predicate: Callable[[], Value], deadline: float = 10.0) -> Value: ...
async def eventually(predicate: Callable[[], object], deadline: float = 10.0) -> object:
    """Ask `predicate` until it answers something true, which is returned.

    `deadline` is in seconds. Raises AssertionError, with the last answer, when it has passed.
    An AssertionError from the predicate itself counts as "not yet".
    """
    ends_at = time.monotonic() + deadline
    while True:
        try:
            answer = predicate()
            value = await answer if inspect.isawaitable(answer) else answer
        except AssertionError as error:
            if time.monotonic() > ends_at:
                raise
            last: object = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() > ends_at:
            raise AssertionError(f"not within {deadline:g} s; the last answer was {last!r}")
        await asyncio.sleep(_INTERVAL_SECONDS)
