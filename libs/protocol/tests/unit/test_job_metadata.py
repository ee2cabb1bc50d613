"""Jobs as programs describe them: what is read, and how what is wrong is named."""

from typing import Any

import orjson
import pytest

from kongflow_protocol.documents import InvalidDocument, Issue, read
from kongflow_protocol.jobs import (
    AuthSource,
    ConcurrencyGroup,
    CronSchedule,
    IntervalSchedule,
    JobMetadata,
    ScheduledTrigger,
    StaticTrigger,
    names_of,
)

# Recorded from a program with the SDK.
JOB: dict[str, Any] = {
    "id": "order-created",
    "name": "Order created",
    "version": "1.0.0",
    "event": {
        "name": "order.created",
        "title": "Event",
        "source": "trigger.dev",
        "icon": "custom-event",
    },
    "trigger": {
        "type": "static",
        "title": "order.created",
        "rule": {
            "event": "order.created",
            "source": "trigger.dev",
            "payload": {"flag": [True], "level": [{"$gte": 2}, {"$lt": 5}]},
        },
    },
    "integrations": {},
    "startPosition": "latest",
    "enabled": True,
    "preprocessRuns": False,
}


def metadata(**changes: object) -> JobMetadata:
    return read(JobMetadata, orjson.dumps({**JOB, **changes}))


def issues(**changes: object) -> list[Issue]:
    with pytest.raises(InvalidDocument) as caught:
        metadata(**changes)
    return list(caught.value.issues)


def test_a_recorded_job_is_read() -> None:
    job = metadata()
    assert isinstance(job.trigger, StaticTrigger)
    assert job.trigger.rule.payload == {"flag": [True], "level": [{"$gte": 2}, {"$lt": 5}]}
    assert job.trigger.rule.context is None
    assert names_of(job.trigger.rule.event) == ["order.created"]
    assert (job.internal, job.concurrency_limit) == (False, None)


def test_everything_that_may_be_there_is_read() -> None:
    job = metadata(
        internal=True,
        concurrencyLimit={"id": "shared", "limit": 3},
        integrations={
            "slack": {
                "id": "slack",
                "metadata": {"id": "slack", "name": "S"},
                "authSource": "HOSTED",
            }
        },
        event={**JOB["event"], "name": ["a", "b"], "examples": [{"id": "x", "name": "X"}]},
        trigger={
            "type": "scheduled",
            "schedule": {"type": "interval", "options": {"seconds": 20}},
        },
        surprise={"is": "passed over"},
    )
    assert isinstance(job.trigger, ScheduledTrigger)
    assert isinstance(job.trigger.schedule, IntervalSchedule)
    assert job.concurrency_limit == ConcurrencyGroup(id="shared", limit=3)
    assert job.integrations["slack"].auth_source is AuthSource.HOSTED
    assert names_of(job.event.name) == ["a", "b"]
    assert job.event.examples[0].payload is None


def test_a_cron_is_taken_as_it_is_written() -> None:
    job = metadata(
        trigger={
            "type": "scheduled",
            "schedule": {"type": "cron", "options": {"cron": "* * * * *"}},
        }
    )
    assert isinstance(job.trigger, ScheduledTrigger)
    assert isinstance(job.trigger.schedule, CronSchedule)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"id": ""}, "id", "at least 1 character"),
        ({"enabled": "yes"}, "enabled", "boolean"),
        ({"version": None}, "version", "string"),
        ({"trigger": {"type": "nope"}}, "trigger", "'nope'"),
        ({"trigger": {"type": "dynamic", "id": ""}}, "trigger.id", "at least 1"),
        (
            {
                "trigger": {
                    "type": "scheduled",
                    "schedule": {"type": "interval", "options": {"seconds": 19}},
                }
            },
            "trigger.schedule.options.seconds",
            "greater than or equal to 20",
        ),
        ({"concurrencyLimit": 0}, "concurrencyLimit", "greater than 0"),
        ({"concurrencyLimit": {"id": "a", "limit": 0}}, "concurrencyLimit.limit", "greater than 0"),
        ({"event": {**JOB["event"], "name": []}}, "event.name", "at least 1 item"),
        (
            {"event": {**JOB["event"], "examples": [{"id": "", "name": "X"}]}},
            "event.examples[0].id",
            "at least 1",
        ),
        (
            {
                "trigger": {
                    **JOB["trigger"],
                    "rule": {**JOB["trigger"]["rule"], "payload": {"a": 5}},
                }
            },
            "trigger.rule.payload",
            "a: must be a list of conditions",
        ),
        (
            {"integrations": {"x": {"id": "x", "metadata": {"id": "x", "name": "X"}}}},
            "integrations.x.authSource",
            "required",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_place(
    changes: dict[str, object], path: str, words: str
) -> None:
    found = issues(**changes)
    assert [issue.path for issue in found] == [path]
    assert words in found[0].message


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(JobMetadata, orjson.dumps({key: JOB[key] for key in JOB if key != "trigger"}))
    assert caught.value.issues == (Issue("trigger", "Field required"),)


@pytest.mark.parametrize("text", [b"", b"[]", b"nonsense"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read(JobMetadata, text)
