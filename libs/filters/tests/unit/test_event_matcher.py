"""Dispatchers and events: accounts, missing filters, requests."""

import json
from uuid import UUID

import pytest

from kongflow_filters import EventMatcher, MatchTarget

ACCOUNT = UUID(int=1)
OTHER = UUID(int=2)


def request_payload(
    raw_body: str = "{}", content_type: str = "application/json"
) -> dict[str, object]:
    return {
        "url": "https://example.org/hook",
        "method": "POST",
        "headers": {"content-type": content_type, "x-kind": "push"},
        "rawBody": raw_body,
    }


def test_without_filters_everything_is_taken() -> None:
    payloads: list[object] = [{}, [], None, "x"]
    for payload in payloads:
        assert EventMatcher().matches(MatchTarget(payload, {}))


def test_both_filters_must_match() -> None:
    matcher = EventMatcher({"a": [1]}, {"b": [2]})
    assert matcher.matches(MatchTarget({"a": 1}, {"b": 2}))
    assert not matcher.matches(MatchTarget({"a": 1}, {"b": 3}))
    assert not matcher.matches(MatchTarget({"a": 2}, {"b": 2}))


def test_a_payload_that_is_a_list_matches_by_one_element() -> None:
    matcher = EventMatcher({"a": [1]})
    assert matcher.matches(MatchTarget([{"a": 2}, {"a": 1}], {}))
    assert not matcher.matches(MatchTarget([{"a": 2}], {}))


def test_q9_an_empty_list_as_payload_matches_no_filter_not_even_the_empty_one() -> None:
    assert not EventMatcher({}).matches(MatchTarget([], {}))
    assert not EventMatcher(None, {}).matches(MatchTarget([], {}))
    assert EventMatcher(None, None).matches(MatchTarget([], {}))


def test_q3_the_account_restriction_holds_without_filters_too() -> None:
    for matcher in (
        EventMatcher(external_account_id=ACCOUNT),
        EventMatcher({}, external_account_id=ACCOUNT),
    ):
        assert matcher.matches(MatchTarget({}, {}, ACCOUNT))
        assert not matcher.matches(MatchTarget({}, {}, OTHER))
        assert not matcher.matches(MatchTarget({}, {}))


def test_a_dispatcher_without_an_account_takes_events_of_every_account() -> None:
    assert EventMatcher({}).matches(MatchTarget({}, {}, ACCOUNT))


@pytest.mark.parametrize(
    ("payload_filter", "context_filter", "path"),
    [({"a": 1}, None, "payload.a"), (None, {"a": [None]}, "context.a[0]"), (0, {}, "payload")],
)
def test_a_dispatcher_with_an_invalid_filter_takes_nothing(
    payload_filter: object, context_filter: object, path: str
) -> None:
    matcher = EventMatcher(payload_filter, context_filter)
    assert not matcher.matches(MatchTarget({"a": 1}, {}))
    assert matcher.rejected is not None
    assert matcher.rejected.path == path


def test_of_a_json_request_the_parsed_body_is_matched() -> None:
    raw_body = json.dumps({"action": "opened", "n": 10**30})
    target = MatchTarget.of_request(request_payload(raw_body, "application/json; v=1"), {})
    assert EventMatcher({"body": {"action": ["opened"], "n": [1e30]}}).matches(target)
    assert EventMatcher({"headers": {"x-kind": ["push"]}, "method": ["POST"]}).matches(target)
    assert EventMatcher({"rawBody": [{"$exists": False}]}).matches(target)


def test_q8_a_request_with_another_body_is_matched_as_payload_with_its_raw_body() -> None:
    target = MatchTarget.of_request(request_payload("a=1", "text/plain"), {"b": 2})
    assert EventMatcher({"rawBody": ["a=1"], "method": ["POST"]}, {"b": [2]}).matches(target)
    assert EventMatcher({"url": [{"$endsWith": "/hook"}]}).matches(target)
    assert EventMatcher({"body": [{"$exists": False}]}).matches(target)
    assert not EventMatcher({"rawBody": ["a=2"]}).matches(target)


def test_the_content_type_is_compared_with_its_case() -> None:
    target = MatchTarget.of_request(request_payload("{}", "Application/JSON"), {})
    assert EventMatcher({"rawBody": ["{}"]}).matches(target)


@pytest.mark.parametrize("missing", ["url", "method", "headers", "rawBody"])
def test_a_payload_that_is_no_request_matches_no_filter(missing: str) -> None:
    payload = request_payload()
    del payload[missing]
    for broken in (payload, {**payload, missing: 5}, {**payload, missing: {"a": 1}}, [payload]):
        target = MatchTarget.of_request(broken, {}, ACCOUNT)
        assert target.unmatchable == "the payload is not a request"
        assert not EventMatcher({}).matches(target)
        assert EventMatcher(external_account_id=ACCOUNT).matches(target)


@pytest.mark.parametrize("raw_body", ["", "{", "NaN", "[1,]", "\ufeff{}", '"\n"', "[" * 100_000])
def test_a_body_that_is_not_the_json_it_says_matches_no_filter(raw_body: str) -> None:
    target = MatchTarget.of_request(request_payload(raw_body), {})
    assert "not" in target.unmatchable
    assert not EventMatcher({}).matches(target)
    assert EventMatcher().matches(target)


@pytest.mark.parametrize(
    ("raw_body", "condition"),
    [
        ("1e400", [float("inf")]),
        ("9" * 5000, [float("inf")]),
        ("9007199254740993", [2**53]),
        (' "\\ud83d\\ude00" ', ["😀"]),
        ("null", [{"$isNull": True}]),
        ('{"a":1,"a":2}', {"a": [2]}),
    ],
)
def test_bodies_are_read_as_javascript_reads_them(raw_body: str, condition: object) -> None:
    target = MatchTarget.of_request(request_payload(raw_body), {})
    assert EventMatcher({"body": condition}).matches(target)
