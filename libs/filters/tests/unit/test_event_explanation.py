"""Which condition of a dispatcher does not hold for an event."""

from uuid import UUID

import pytest

from kongflow_filters import (
    EventMatcher,
    EventMismatchReason,
    MatchTarget,
    explain_event,
)

ACCOUNT = UUID(int=1)
REQUEST = {
    "url": "https://example.org/",
    "method": "POST",
    "headers": {"content-type": "application/json"},
    "rawBody": "{",
}


@pytest.mark.parametrize(
    ("target", "payload_filter", "context_filter", "account", "reason", "path"),
    [
        (MatchTarget({}, {}), None, None, None, None, ""),
        (MatchTarget([], {}), None, None, None, None, ""),
        (MatchTarget({}, {}), None, None, ACCOUNT, EventMismatchReason.ACCOUNT, ""),
        (MatchTarget({}, {}, ACCOUNT), None, None, ACCOUNT, None, ""),
        (MatchTarget({}, {}), {"a": 1}, None, None, EventMismatchReason.INVALID_FILTER, ""),
        (MatchTarget({}, {}), {}, [], None, EventMismatchReason.INVALID_FILTER, ""),
        (
            *(MatchTarget({"a": 1}, {}), {"a": [2]}, {"b": [1]}, None),
            *(EventMismatchReason.PAYLOAD_FILTER, "payload.a"),
        ),
        (
            *(MatchTarget({"a": 2}, {"b": 2}), {"a": [2]}, {"b": [1]}, None),
            *(EventMismatchReason.CONTEXT_FILTER, "context.b"),
        ),
        (MatchTarget([], {}), None, {}, None, EventMismatchReason.PAYLOAD_FILTER, "payload"),
        (MatchTarget({}, []), {}, None, None, EventMismatchReason.CONTEXT_FILTER, "context"),
        (
            *(MatchTarget.of_request(REQUEST, {}), {}, None, None),
            *(EventMismatchReason.UNMATCHABLE, ""),
        ),
        (MatchTarget.of_request(REQUEST, {}), None, None, None, None, ""),
    ],
)
def test_the_first_condition_that_does_not_hold(
    target: MatchTarget,
    payload_filter: object,
    context_filter: object,
    account: UUID | None,
    reason: EventMismatchReason | None,
    path: str,
) -> None:
    found = explain_event(target, payload_filter, context_filter, account)
    assert (found.reason if found is not None else None) is reason
    assert (found.mismatch.path if found is not None and found.mismatch else "") == path
    matcher = EventMatcher(payload_filter, context_filter, account)
    assert matcher.matches(target) is (found is None)


def test_what_is_wrong_with_a_filter_or_an_event_is_said() -> None:
    found = explain_event(MatchTarget({}, {}), {"age": [{"$gt": "x"}]})
    assert found is not None
    assert found.message == "payload_filter.age[0].$gt: must be a number"
    found = explain_event(MatchTarget.of_request(REQUEST, {}), {})
    assert found is not None
    assert "body is JSON" in found.message
