"""All rows that a registration leaves, for jobs of every shape."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.domain.dispatcher_wish import DispatcherWish
from kongflow_jobs.domain.job import JobPlace
from services.jobs.tests.conftest import SCHEDULED, STATIC, described, registration

EVENT = described()["event"]
SLACK = {"id": "slack", "metadata": {"id": "slack", "name": "Slack"}, "authSource": "LOCAL"}
GITHUB = {"id": "github", "metadata": {"id": "github", "name": "GitHub"}, "authSource": "HOSTED"}
OWN = {"id": "own", "metadata": {"id": "own", "name": "Own"}, "authSource": "RESOLVER"}
CRON = {"type": "scheduled", "schedule": {"type": "cron", "options": {"cron": "0 9 * * *"}}}
WITH_HELP = {
    **STATIC,
    "properties": [{"label": "a", "text": "b"}],
    "link": "https://example.com",
    "help": {"noRuns": {"text": "Send one"}},
}
MANY_NAMES = {"type": "static", "title": "x", "rule": {"event": ["a", "b"], "source": "shop"}}
BOTH_FILTERS = {
    "type": "static",
    "title": "x",
    "rule": {"event": "a", "source": "s", "payload": {}, "context": {"b": ["c"]}},
}
TAKES_ORDERS = (("order.created",), "trigger.dev", {"n": [{"$gt": 1}]}, None, False)
IS_CALLED: tuple[Any, ...] = (("dev.trigger.scheduled",), "trigger.dev", {}, {}, True)


@dataclass(frozen=True)
class Shape:
    """What a program says differs from the plain job, and so do the rows.

    `takes`: names, source, filter of payloads and of contexts, and whether only called by hand.
    """

    name: str
    says: dict[str, Any]
    version: dict[str, Any] = field(default_factory=dict)
    title: str = "Order"
    internal: bool = False
    groups: tuple[tuple[str, int], ...] = ()
    examples: tuple[tuple[Any, ...], ...] = ()
    integrations: tuple[tuple[str, str, str, str], ...] = ()
    uses: tuple[tuple[str, str], ...] = ()
    takes: tuple[Any, ...] | None = TAKES_ORDERS


SHAPES = (
    Shape("plain", {}),
    Shape("renamed", {"name": "Another"}, title="Another"),
    Shape("internal", {"internal": True}, internal=True),
    Shape("version", {"version": "12.0.3"}, {"version": "12.0.3"}),
    Shape("initial", {"startPosition": "initial"}),
    Shape("preprocessed", {"preprocessRuns": True}, {"preprocess_runs": True}),
    Shape("limited", {"concurrencyLimit": 7}, {"concurrency_limit": 7}),
    Shape(
        "in a group",
        {"concurrencyLimit": {"id": "shared", "limit": 3}},
        {"group_name": "shared"},
        groups=(("shared", 3),),
    ),
    Shape(
        "several names",
        {"trigger": MANY_NAMES},
        {"trigger": MANY_NAMES},
        takes=(("a", "b"), "shop", None, None, False),
    ),
    Shape(
        "both filters",
        {"trigger": BOTH_FILTERS},
        {"trigger": BOTH_FILTERS},
        takes=(("a",), "s", {}, {"b": ["c"]}, False),
    ),
    Shape(
        "for people",
        {"trigger": WITH_HELP},
        {
            "trigger": WITH_HELP,
            "properties": [{"label": "a", "text": "b"}],
            "trigger_link": "https://example.com",
            "trigger_help": {"noRuns": {"text": "Send one"}},
        },
    ),
    Shape("interval", {"trigger": SCHEDULED}, {"trigger": SCHEDULED}, takes=IS_CALLED),
    Shape("cron", {"trigger": CRON}, {"trigger": CRON}, takes=IS_CALLED),
    Shape(
        "dynamic",
        {"trigger": {"type": "dynamic", "id": "d"}},
        {"trigger": {"type": "dynamic", "id": "d"}},
        takes=None,
    ),
    Shape("invoke", {"trigger": {"type": "invoke"}}, {"trigger": {"type": "invoke"}}, takes=None),
    Shape(
        "examples",
        {
            "event": {
                **EVENT,
                "examples": [
                    {"id": "small", "name": "Small", "icon": "box", "payload": {"n": 1}},
                    {"id": "none", "name": "None"},
                ],
            }
        },
        examples=(("none", "None", None, None), ("small", "Small", "box", {"n": 1})),
    ),
    Shape(
        "another event",
        {"event": {**EVENT, "name": ["x", "y"], "schema": {"type": "object"}}},
        {"event_specification": {**EVENT, "name": ["x", "y"], "schema": {"type": "object"}}},
    ),
    Shape(
        "integrations",
        {"integrations": {"slack": SLACK, "gh": GITHUB, "mine": OWN}},
        integrations=(
            ("github", "GitHub", "HOSTED", "MISSING_FIELDS"),
            ("own", "Own", "RESOLVER", "COMPLETE"),
            ("slack", "Slack", "LOCAL", "COMPLETE"),
        ),
        uses=(("gh", "github"), ("mine", "own"), ("slack", "slack")),
    ),
    Shape(
        "one integration under two names",
        {"integrations": {"b": SLACK, "a": SLACK}},
        integrations=(("slack", "Slack", "LOCAL", "COMPLETE"),),
        uses=(("a", "slack"), ("b", "slack")),
    ),
)

EVERYTHING = described(
    name="Before",
    preprocessRuns=True,
    concurrencyLimit={"id": "before", "limit": 9},
    integrations={"old": {**OWN, "id": "before"}, "gh": {**OWN, "id": "before"}},
    event={
        **EVENT,
        "title": "Before",
        "examples": [{"id": each, "name": "Before"} for each in ("before", "small")],
    },
    trigger={**WITH_HELP, "rule": {"event": "before", "source": "b", "context": {"b": [1]}}},
)

_VERSION_COLUMNS = (
    "version",
    "status",
    "start_position",
    "preprocess_runs",
    "concurrency_limit",
    "group_name",
    "trigger",
    "event_specification",
    "properties",
    "trigger_link",
    "trigger_help",
    "queue_name",
)
_VERSION = """
SELECT v.version, v.status, v.start_position, v.preprocess_runs, v.concurrency_limit, g.name,
       v.trigger, v.event_specification, v.properties, v.trigger_link, v.trigger_help, q.name
FROM jobs.job_versions v JOIN jobs.job_queues q ON q.id = v.queue_id
LEFT JOIN jobs.concurrency_limit_groups g ON g.id = v.concurrency_limit_group_id
"""
_SELECT = {
    "jobs": "SELECT slug, title, internal, deleted_at FROM jobs.jobs",
    "queues": "SELECT name, max_jobs FROM jobs.job_queues",
    "aliases": """
        SELECT a.name, a.value, v.version, a.pinned
        FROM jobs.job_aliases a JOIN jobs.job_versions v ON v.id = a.version_id""",
    "groups": "SELECT name, concurrency_limit FROM jobs.concurrency_limit_groups ORDER BY 1",
    "examples": "SELECT slug, name, icon, payload FROM jobs.event_examples ORDER BY 1",
    "integrations": """
        SELECT slug, title, auth_source, setup_status FROM jobs.integrations ORDER BY 1""",
    "uses": """
        SELECT u.key, i.slug FROM jobs.job_integrations u
        JOIN jobs.integrations i ON i.id = u.integration_id ORDER BY 1""",
}


async def stored(database: Database) -> dict[str, Any]:
    found = {
        name: [tuple(row) for row in await database.pool.execute(query, {})]
        for name, query in _SELECT.items()
    }
    [version] = await database.pool.execute(_VERSION, {})
    return {**found, "version": dict(zip(_VERSION_COLUMNS, version, strict=True))}


def expected(shape: Shape) -> dict[str, Any]:
    number = shape.version.get("version", "1.0.0")
    plain = {
        "version": "1.0.0",
        "status": "ACTIVE",
        "start_position": "LATEST",
        "preprocess_runs": False,
        "concurrency_limit": None,
        "group_name": None,
        "trigger": STATIC,
        "event_specification": EVENT,
        "properties": None,
        "trigger_link": None,
        "trigger_help": None,
        "queue_name": "default",
    }
    return {
        "jobs": [("order", shape.title, shape.internal, None)],
        "queues": [("default", 100)],
        "aliases": [("latest", number, number, False)],
        "groups": list(shape.groups),
        "examples": list(shape.examples),
        "integrations": list(shape.integrations),
        "uses": list(shape.uses),
        "version": {**plain, **shape.version},
    }


def taken(wish: DispatcherWish | None) -> tuple[Any, ...] | None:
    if wish is None or not wish.enabled:
        return None
    events = wish.events
    return (
        events.event_names,
        events.source,
        events.payload_filter and events.payload_filter.load(),
        events.context_filter and events.context_filter.load(),
        events.manual,
    )


@pytest.fixture(params=SHAPES, ids=[shape.name for shape in SHAPES])
def shape(request: pytest.FixtureRequest) -> Shape:
    each = request.param
    assert isinstance(each, Shape)
    return each


async def test_a_new_job(
    registry: PostgresRegistry, database: Database, place: JobPlace, shape: Shape
) -> None:
    endpoint_id = new_id()
    for generation in (1, 1, 2):
        job = registration(place, described(**shape.says), generation, endpoint_id)
        registered = await registry.register(job)
        assert registered is not None
        assert taken(registered.dispatcher) == shape.takes
        assert await stored(database) == expected(shape)
    assert (await database.pool.execute("SELECT endpoint_id FROM jobs.job_versions", {})) == [
        (endpoint_id,)
    ]


async def test_a_job_that_was_another(
    registry: PostgresRegistry, database: Database, place: JobPlace, shape: Shape
) -> None:
    """Nothing is left of what the program said before, but that it said it of the project."""
    before = described(**{**EVERYTHING, "version": shape.version.get("version", "1.0.0")})
    await registry.register(registration(place, before, 1))
    registered = await registry.register(registration(place, described(**shape.says), 2))
    assert registered is not None
    assert taken(registered.dispatcher) == shape.takes
    found, wanted = await stored(database), expected(shape)
    # Groups and integrations may be others' too, and a job is internal from its beginning or not.
    wanted["groups"] = sorted([*wanted["groups"], ("before", 9)])
    wanted["integrations"] = sorted(
        [*wanted["integrations"], ("before", "Own", "RESOLVER", "COMPLETE")]
    )
    wanted["jobs"] = [("order", shape.title, False, None)]
    assert found == wanted
