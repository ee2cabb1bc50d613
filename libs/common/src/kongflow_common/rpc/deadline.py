"""How long the call that this task works on may still take."""

import asyncio
from contextvars import ContextVar

__all__ = ["bind_deadline", "time_left"]

_FOR_THE_ANSWER = 0.1
"""The part of what is left that is kept for telling the caller what became of the call."""

_deadline: ContextVar[float | None] = ContextVar("kongflow_deadline", default=None)


def bind_deadline(seconds: float) -> None:
    """Let the rest of this task, which is one call's own, know when its caller gives up."""
    _deadline.set(asyncio.get_running_loop().time() + seconds)


def time_left(at_most: float) -> float:
    """Seconds that an outgoing call may take: what the caller's deadline leaves, `at_most`.

    A little less than all of it: a caller that gives up at the same moment would never learn
    that it was not this server that kept it waiting. Outside of a call it is `at_most`. Never
    less than a millisecond, so that the outgoing call fails as one that came too late.
    Long-lived tasks that a call happened to start must not ask: they would inherit a deadline
    that is not theirs.
    """
    deadline = _deadline.get()
    if deadline is None:
        return at_most
    left = deadline - asyncio.get_running_loop().time()
    return min(at_most, max(left * (1.0 - _FOR_THE_ANSWER), 0.001))
