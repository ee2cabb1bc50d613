"""W3C Trace Context."""

import pytest

from kongflow_common.tracing import (
    TraceContext,
    current_trace,
    current_traceparent,
    format_traceparent,
    new_trace,
    parse_traceparent,
    use_trace,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_round_trip() -> None:
    trace = new_trace()
    assert parse_traceparent(format_traceparent(trace)) == trace
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") == TraceContext(TRACE, SPAN, sampled=False)


def test_child_is_another_span_of_the_same_trace() -> None:
    trace = new_trace()
    assert trace.child().trace_id == trace.trace_id
    assert trace.child().span_id != trace.span_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_nonsense_is_no_trace(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") == TraceContext(TRACE, SPAN)


def test_the_trace_belongs_to_the_block() -> None:
    trace = new_trace()
    assert current_trace() is None
    assert current_traceparent() == ""
    with use_trace(trace):
        assert current_trace() == trace
        assert current_traceparent() == format_traceparent(trace)
    assert current_trace() is None
