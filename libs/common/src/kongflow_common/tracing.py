"""The trace that a piece of work belongs to, as W3C Trace Context writes it."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = [
    "TraceContext",
    "bind_trace",
    "current_trace",
    "current_traceparent",
    "format_traceparent",
    "new_trace",
    "parse_traceparent",
    "trace_id_of",
    "use_trace",
]

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: 32 and 16 lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def child(self) -> "TraceContext":
        """A new span of the same trace."""
        return TraceContext(self.trace_id, secrets.token_hex(8), self.sampled)


_current: ContextVar[TraceContext | None] = ContextVar("kongflow_trace", default=None)


def new_trace() -> TraceContext:
    """Begin a trace."""
    # One question to the system for both.
    digits = secrets.token_hex(24)
    return TraceContext(digits[:32], digits[32:])


def trace_id_of(traceparent: str) -> str:
    """The trace that a `traceparent` of our own names, as log lines show it."""
    return traceparent[3:35]


def parse_traceparent(text: str) -> TraceContext | None:
    """Read a `traceparent`; None when it says nothing that could be used."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "00" and more:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def format_traceparent(trace: TraceContext) -> str:
    """Write a `traceparent`."""
    return f"00-{trace.trace_id}-{trace.span_id}-{'01' if trace.sampled else '00'}"


def current_trace() -> TraceContext | None:
    """The trace of the work that this task is doing, if any."""
    return _current.get()


def current_traceparent() -> str:
    """The current trace as a `traceparent`; empty when there is none."""
    trace = _current.get()
    return format_traceparent(trace) if trace is not None else ""


def bind_trace(trace: TraceContext) -> None:
    """Make `trace` the current one for the rest of this task, which is one call's own."""
    _current.set(trace)


@contextmanager
def use_trace(trace: TraceContext | None) -> Iterator[None]:
    """Do the work inside the block as part of `trace`."""
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)
