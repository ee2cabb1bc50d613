"""How the description of a job is read."""

from typing import Any

import orjson
import pytest

from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_jobs.domain.dispatcher_wish import events_taken
from kongflow_jobs.domain.event_of_test import event_id_of_test, event_of
from kongflow_jobs.domain.job import JobPlace, TriggerKind
from kongflow_jobs.domain.registration import read_registration
from kongflow_protocol.documents import InvalidDocument
from services.jobs.tests.conftest import SCHEDULED, STATIC, described, registration

PLACE = JobPlace(new_id(), new_id(), new_id())


def refused(document: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        registration(PLACE, document)
    return [issue.path for issue in caught.value.issues]


def rule(**changes: Any) -> dict[str, Any]:
    return {**STATIC, "rule": {**STATIC["rule"], **changes}}


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"id": ""}, ["id"]),
        ({"id": "x" * 513}, ["id"]),
        ({"version": ""}, ["version"]),
        ({"enabled": "yes"}, ["enabled"]),
        ({"trigger": {"type": "webhook"}}, ["trigger"]),
        ({"trigger": rule(event=[])}, ["trigger.rule.event"]),
        ({"trigger": rule(event=["a", ""])}, ["trigger.rule.event[1]"]),
        ({"trigger": rule(payload={"a": "no list"})}, ["trigger.rule.payload"]),
        ({"trigger": rule(context={"a": [{"$nope": 1}]})}, ["trigger.rule.context"]),
        ({"trigger": rule(payload={"a": ["x" * 530_000]})}, ["trigger.rule.payload"]),
        (
            {
                "trigger": {
                    "type": "scheduled",
                    "schedule": {"type": "interval", "options": {"seconds": 19}},
                }
            },
            ["trigger.schedule.options.seconds"],
        ),
        ({"concurrencyLimit": 0}, ["concurrencyLimit"]),
        ({"concurrencyLimit": {"id": "g", "limit": 0}}, ["concurrencyLimit.limit"]),
        (
            {"integrations": {"a": {"id": "a"}}},
            ["integrations.a.metadata", "integrations.a.authSource"],
        ),
        ({"name": None, "startPosition": "first"}, ["name", "startPosition"]),
    ],
)
def test_what_is_wrong_is_named_by_its_path(changes: dict[str, Any], paths: list[str]) -> None:
    assert refused(described(**changes)) == paths


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": "\\u0000"}',
        b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"a": "' + b"x" * 1_048_576 + b'"}',
    ],
    ids=["empty", "cut off", "NUL", "deep", "long"],
)
def test_what_cannot_be_stored_is_refused_whole(text: bytes) -> None:
    with pytest.raises(InvalidField) as caught:
        read_registration(PLACE, new_id(), 1, text)
    assert caught.value.violations[0].field == "metadata"


def test_a_null_is_no_object() -> None:
    with pytest.raises(InvalidDocument):
        read_registration(PLACE, new_id(), 1, b"null")


def test_documents_are_kept_as_the_program_sent_them() -> None:
    event = {**described()["event"], "later": {"unknown": True}}
    examples = [{"id": "a", "name": "A", "payload": {"n": 1}}, {"id": "b", "name": "B"}]
    read = registration(PLACE, described(event={**event, "examples": examples}))
    assert orjson.loads(read.event_specification.text) == event
    assert [each.text for each in read.example_payloads] == [b'{"n":1}', b"null"]
    assert read.trigger_kind is TriggerKind.STATIC
    assert (read.properties, read.trigger_help) == (None, None)


@pytest.mark.parametrize(
    ("trigger", "names", "source", "manual"),
    [
        (STATIC, ("order.created",), "trigger.dev", False),
        (rule(event=["a", "b"], source="shop"), ("a", "b"), "shop", False),
        (SCHEDULED, ("dev.trigger.scheduled",), "trigger.dev", True),
    ],
)
def test_which_events_a_trigger_takes(
    trigger: dict[str, Any], names: tuple[str, ...], source: str, manual: bool
) -> None:
    taken = events_taken(registration(PLACE, described(trigger=trigger)).metadata.trigger)
    assert taken is not None
    assert (taken.event_names, taken.source, taken.manual) == (names, source, manual)


@pytest.mark.parametrize("trigger", [{"type": "invoke"}, {"type": "dynamic", "id": "d"}])
def test_other_triggers_take_none(trigger: dict[str, Any]) -> None:
    assert events_taken(registration(PLACE, described(trigger=trigger)).metadata.trigger) is None


def test_a_filter_that_is_left_out_is_none_and_an_empty_one_is_kept() -> None:
    document = rule(payload={})
    taken = events_taken(registration(PLACE, described(trigger=document)).metadata.trigger)
    assert taken is not None
    assert taken.payload_filter is not None
    assert (taken.payload_filter.text, taken.context_filter) == (b"{}", None)


@pytest.mark.parametrize(
    ("changes", "name", "source"),
    [
        ({}, "order.created", "trigger.dev"),
        ({"name": ["first", "second"], "source": "shop"}, "first", "shop"),
    ],
)
def test_the_event_of_a_test(changes: dict[str, Any], name: str, source: str) -> None:
    read = registration(PLACE, described(event={**described()["event"], **changes}))
    assert event_of(read.event_specification) == (name, source)


def test_the_id_of_a_test_is_never_too_long() -> None:
    assert event_id_of_test("order", 5) == "test:order:5"
    assert len(event_id_of_test("x" * 512, 1_764_000_000_000)) <= 512
