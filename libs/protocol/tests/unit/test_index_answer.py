"""What an endpoint answers to INDEX_ENDPOINT: what is read, and what it costs to refuse it."""

from typing import Any

import orjson
import pytest

from kongflow_protocol.documents import InvalidDocument
from kongflow_protocol.endpoint import InvalidJobs, TooManyItems, read_index

# Recorded from a program with the SDK.
STATIC: dict[str, Any] = {
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
INTERNAL: dict[str, Any] = {
    **STATIC,
    "id": "register-dynamic-trigger-dynamic-trigger",
    "version": "0.1.0",
    "trigger": {
        "type": "static",
        "title": "Register Source",
        "rule": {
            "event": "dev.trigger.source.register.v2",
            "source": "trigger.dev",
            "payload": {"dynamicTriggerId": ["dynamic-trigger"]},
        },
    },
    "integrations": {
        "integration": {
            "id": "toy",
            "metadata": {"id": "toy", "name": "Toy"},
            "authSource": "LOCAL",
        }
    },
    "internal": True,
}
ANSWER: dict[str, Any] = {
    "jobs": [STATIC, INTERNAL],
    "sources": [],
    "webhooks": [],
    "dynamicTriggers": [
        {
            "id": "dynamic-trigger",
            "jobs": [{"id": "dynamically-triggered", "version": "1.0.0"}],
            "registerSourceJob": {
                "id": "register-dynamic-trigger-dynamic-trigger",
                "version": "0.1.0",
            },
        }
    ],
    "dynamicSchedules": [
        {"id": "dynamic-schedule", "jobs": [{"id": "dynamic-scheduled", "version": "1.0.0"}]}
    ],
    "httpEndpoints": [],
}


def answer(**changes: object) -> bytes:
    return orjson.dumps({**ANSWER, **changes})


def lines(*jobs: object) -> list[str]:
    """What is wrong with jobs, as `job: message at path`."""
    with pytest.raises(InvalidJobs) as caught:
        read_index(answer(jobs=jobs), max_items=1_000_000)
    return [f"{job}: {issue.message} at {issue.path}" for job, issue in caught.value.issues]


def wrong(**changes: object) -> str:
    with pytest.raises(InvalidDocument) as caught:
        read_index(answer(**changes), max_items=1_000_000)
    return str(caught.value)


def test_a_recorded_answer_is_read() -> None:
    found = read_index(answer(), max_items=4).items
    assert [(each.kind, each.key, each.version, each.internal) for each in found] == [
        ("JOB", "order-created", "1.0.0", False),
        ("JOB", "register-dynamic-trigger-dynamic-trigger", "0.1.0", True),
        ("DYNAMIC_TRIGGER", "dynamic-trigger", "", False),
        ("DYNAMIC_SCHEDULE", "dynamic-schedule", "", False),
    ]
    assert [orjson.loads(each.metadata) for each in found] == [
        STATIC,
        INTERNAL,
        *ANSWER["dynamicTriggers"],
        *ANSWER["dynamicSchedules"],
    ]
    with pytest.raises(TooManyItems, match="4 items; at most 3 are taken"):
        read_index(answer(), max_items=3)


def test_older_programs_leave_out_what_they_do_not_know() -> None:
    known = {name: ANSWER[name] for name in ANSWER if name not in {"webhooks", "httpEndpoints"}}
    assert len(read_index(orjson.dumps(known), max_items=4).items) == 4
    assert wrong(sources=None) == "sources: must be a list"


def test_one_bad_job_is_named_and_fails_the_whole() -> None:
    assert lines(STATIC, {**STATIC, "id": "bad", "enabled": "yes"}) == [
        "bad: Input should be a valid boolean at enabled"
    ]
    assert lines(STATIC, STATIC) == ["order-created: is the id of two jobs at id"]
    assert lines([]) == [
        "jobs[0]: Input should be a valid dictionary or instance of JobMetadata at "
    ]


@pytest.mark.parametrize(
    ("job", "path"),
    [
        ({**STATIC, "name": "a\0b"}, "name"),
        ({**STATIC, "id": "a\0b"}, "id"),
        ({**STATIC, "unknown": {"deep": [1, {"a\0b": 1}]}}, "unknown.deep[1].a\ufffdb"),
    ],
)
def test_what_no_database_holds_is_refused(job: dict[str, Any], path: str) -> None:
    [line] = lines(job)
    assert line.endswith(f": holds the character NUL, which cannot be stored at {path}")
    source = {"version": "2", "channel": "HTTP", "key": "s", "options": {"a": ["\0"]}}
    assert wrong(sources=[source]).startswith("sources[0].options.a[0]: holds the character NUL")


def test_text_that_only_looks_like_that_character_is_taken() -> None:
    [found] = read_index(
        orjson.dumps(
            {
                "jobs": [{**STATIC, "name": "\\u0000"}],
                "sources": [],
                "dynamicTriggers": [],
                "dynamicSchedules": [],
            }
        ),
        max_items=1,
    ).items
    assert orjson.loads(found.metadata)["name"] == "\\u0000"


MANY = 300_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dynamicTriggers": [{"id": "d", "jobs": [1] * MANY}]}, "dynamicTriggers[0].jobs[0]: "),
        (
            {
                "webhooks": [
                    {"key": "w", "config": {"a": [1] * MANY}, "httpEndpoint": {"id": "h"}},
                ]
            },
            "webhooks[0].config.a[0]: ",
        ),
        (
            {
                "webhooks": [
                    {
                        "key": "w",
                        "config": {str(n): 1 for n in range(MANY)},
                        "httpEndpoint": {"id": "h"},
                    }
                ]
            },
            "webhooks[0].config: has more than 100 members",
        ),
    ],
)
def test_a_million_mistakes_cost_no_more_than_one(changes: dict[str, Any], words: str) -> None:
    assert wrong(**changes).startswith(words)


@pytest.mark.timeout(20)
def test_jobs_with_a_million_mistakes_are_named_once() -> None:
    def job(**changes: object) -> dict[str, object]:
        return {**STATIC, **changes}

    example = {"id": "", "name": 1}
    assert len(lines(job(event={**STATIC["event"], "examples": [example] * MANY}))) <= 2
    assert len(lines(job(event={**STATIC["event"], "name": [1] * MANY}))) == 1
    assert len(lines(job(trigger={**STATIC["trigger"], "title": [1] * MANY}))) == 1
    assert len(lines(job(integrations={str(n): 1 for n in range(MANY)}))) == 1
    assert len(lines(*([] for _ in range(MANY)))) == 50


def test_words_of_programs_are_shown_in_part() -> None:
    long = "x" * 100_000
    for job in (
        {**STATIC, "id": long},
        {**STATIC, "trigger": {"type": long}},
        {**STATIC, "integrations": {long: 1}},
    ):
        assert all(len(line) < 1_000 for line in lines(job))
