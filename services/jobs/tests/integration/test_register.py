"""What the database holds after registrations, row by row."""

from typing import Any

import pytest
from sqlalchemy import select

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.tables import (
    CONCURRENCY_LIMIT_GROUPS,
    EVENT_EXAMPLES,
    INTEGRATIONS,
    JOB_ALIASES,
    JOB_INTEGRATIONS,
    JOB_QUEUES,
    JOB_VERSIONS,
    JOBS,
)
from kongflow_jobs.application.ports import Disabling, Registered
from kongflow_jobs.domain.job import JobPlace
from services.jobs.tests.conftest import SCHEDULED, STATIC, described, registration

SLACK = {"id": "slack", "metadata": {"id": "slack", "name": "Slack"}, "authSource": "LOCAL"}
GITHUB = {"id": "github", "metadata": {"id": "github", "name": "GitHub"}, "authSource": "HOSTED"}


async def rows(database: Database, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        query = select(*(table.c[name] for name in columns))
        return sorted(tuple(row) for row in await connection.execute(query))


async def register(
    registry: PostgresRegistry,
    place: JobPlace,
    document: dict[str, Any],
    generation: int = 1,
) -> Registered:
    registered = await registry.register(registration(place, document, generation))
    assert registered is not None
    return registered


async def test_a_static_job_with_everything(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    document = described(
        internal=True,
        preprocessRuns=True,
        concurrencyLimit={"id": "shared", "limit": 3},
        integrations={"slack": SLACK, "gh": GITHUB},
        event={
            **described()["event"],
            "examples": [
                {"id": "small", "name": "Small", "icon": "box", "payload": {"n": 1}},
                {"id": "none", "name": "None"},
            ],
        },
        trigger={
            **STATIC,
            "properties": [{"label": "a", "text": "b"}],
            "link": "https://example.com",
            "help": {"noRuns": {"text": "Send one"}},
        },
    )
    registered = await register(registry, place, document)

    assert await rows(database, JOBS, "id", "slug", "title", "internal", "deleted_at") == [
        (registered.job_id, "order", "Order", True, None)
    ]
    assert await rows(database, JOBS, "project_id", "organization_id") == [
        (place.project_id, place.organization_id)
    ]
    [(group_id, name, limit)] = await rows(
        database, CONCURRENCY_LIMIT_GROUPS, "id", "name", "concurrency_limit"
    )
    assert (name, limit) == ("shared", 3)
    [(queue_id, name, max_jobs, environment)] = await rows(
        database, JOB_QUEUES, "id", "name", "max_jobs", "environment_id"
    )
    assert (name, max_jobs, environment) == ("default", 100, place.environment_id)
    assert await rows(
        database,
        JOB_VERSIONS,
        "id",
        "version",
        "status",
        "start_position",
        "preprocess_runs",
        "concurrency_limit",
        "concurrency_limit_group_id",
        "queue_id",
        "trigger_link",
    ) == [
        (
            registered.version_id,
            "1.0.0",
            "ACTIVE",
            "LATEST",
            True,
            None,
            group_id,
            queue_id,
            "https://example.com",
        )
    ]
    [(specification, properties, help_)] = await rows_unsorted(
        database, JOB_VERSIONS, "event_specification", "properties", "trigger_help"
    )
    assert specification == described()["event"], "the examples are rows of their own"
    assert properties == [{"label": "a", "text": "b"}]
    assert help_ == {"noRuns": {"text": "Send one"}}
    examples = await rows_unsorted(database, EVENT_EXAMPLES, "slug", "name", "icon", "payload")
    assert sorted(examples, key=lambda row: row[0]) == [
        ("none", "None", None, None),
        ("small", "Small", "box", {"n": 1}),
    ]
    assert await rows(database, INTEGRATIONS, "slug", "title", "auth_source", "setup_status") == [
        ("github", "GitHub", "HOSTED", "MISSING_FIELDS"),
        ("slack", "Slack", "LOCAL", "COMPLETE"),
    ]
    assert await rows(database, JOB_INTEGRATIONS, "key", "version_id") == [
        ("gh", registered.version_id),
        ("slack", registered.version_id),
    ]
    assert await rows(database, JOB_ALIASES, "name", "value", "version_id", "pinned") == [
        ("latest", "1.0.0", registered.version_id, False)
    ]
    wish = registered.dispatcher
    assert wish is not None
    assert (wish.job_id, wish.version_id) == (registered.job_id, registered.version_id)
    assert (wish.enabled, wish.generation) == (True, 1)
    assert wish.events.event_names == ("order.created",)
    assert wish.events.source == "trigger.dev"
    assert wish.events.payload_filter is not None
    assert wish.events.payload_filter.load() == {"n": [{"$gt": 1}]}
    assert wish.events.context_filter is None


async def rows_unsorted(database: Database, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        query = select(*(table.c[name] for name in columns))
        return [tuple(row) for row in await connection.execute(query)]


async def test_what_a_program_says_again_takes_the_place_of_what_it_said(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    first = described(
        concurrencyLimit=5,
        integrations={"slack": SLACK, "gh": GITHUB},
        event={
            **described()["event"],
            "examples": [{"id": "a", "name": "A"}, {"id": "b", "name": "B", "payload": 1}],
        },
    )
    one = await register(registry, place, first, 1)
    second = described(
        name="Renamed",
        internal=True,
        integrations={"slack": SLACK},
        event={**described()["event"], "examples": [{"id": "b", "name": "Other", "payload": 2}]},
        trigger={"type": "static", "title": "x", "rule": {"event": ["x", "y"], "source": "shop"}},
    )
    two = await register(registry, place, second, 2)

    assert (two.job_id, two.version_id) == (one.job_id, one.version_id)
    # Whether a job is internal is decided when it is first registered.
    assert await rows(database, JOBS, "title", "internal") == [("Renamed", False)]
    assert await rows(database, JOB_VERSIONS, "concurrency_limit") == [(None,)]
    assert await rows(database, EVENT_EXAMPLES, "slug", "name", "payload") == [("b", "Other", 2)]
    assert await rows(database, JOB_INTEGRATIONS, "key") == [("slack",)]
    assert two.dispatcher is not None
    assert two.dispatcher.generation == 2
    assert two.dispatcher.events.event_names == ("x", "y")
    assert two.dispatcher.events.payload_filter is None, "a filter that is left out is gone"


async def test_examples_that_are_not_sent_are_gone(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    event = {**described()["event"], "examples": [{"id": "a", "name": "A"}]}
    await register(registry, place, described(event=event), 1)
    await register(registry, place, described(), 2)
    assert await rows(database, EVENT_EXAMPLES, "slug") == []


async def test_an_older_index_changes_nothing(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    newer = await register(registry, place, described(name="B"), 7)
    older = await register(registry, place, described(name="A", version="1.0.0"), 6)
    assert (older.version_id, older.dispatcher) == (newer.version_id, None)
    assert await rows(database, JOBS, "title") == [("B",)]
    again = await register(registry, place, described(name="B"), 7)
    assert again.dispatcher is not None, "who was cut off tells the dispatcher the second time"


async def test_latest_is_the_newest_version_whatever_comes_last(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    await register(registry, place, described(version="9.0.0"), 1)
    ten = await register(registry, place, described(version="10.0.0"), 2)
    again = await register(registry, place, described(version="9.0.0"), 3)
    assert again.dispatcher is None, "the dispatcher follows the latest version"
    assert await rows(database, JOB_ALIASES, "name", "value", "version_id") == [
        ("latest", "10.0.0", ten.version_id)
    ]


async def test_a_scheduled_job_has_a_manual_dispatcher(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    registered = await register(registry, place, described(trigger=SCHEDULED))
    wish = registered.dispatcher
    assert wish is not None
    assert wish.events.event_names == ("dev.trigger.scheduled",)
    assert (wish.events.source, wish.events.manual, wish.enabled) == ("trigger.dev", True, True)
    assert wish.events.payload_filter is not None
    assert wish.events.payload_filter.load() == {}


@pytest.mark.parametrize("trigger", [{"type": "invoke"}, {"type": "dynamic", "id": "d"}])
async def test_other_triggers_have_none_and_an_earlier_one_is_disabled(
    registry: PostgresRegistry, place: JobPlace, trigger: dict[str, Any]
) -> None:
    assert (await register(registry, place, described("new", trigger=trigger))).dispatcher is None
    await register(registry, place, described("old"), 1)
    changed = await register(registry, place, described("old", trigger=trigger), 2)
    assert changed.dispatcher is not None
    assert (changed.dispatcher.enabled, changed.dispatcher.generation) == (False, 2)


async def test_a_scheduled_job_that_becomes_static_takes_events(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    await register(registry, place, described(trigger=SCHEDULED), 1)
    static = await register(registry, place, described(), 2)
    assert static.dispatcher is not None
    assert not static.dispatcher.events.manual


async def test_a_deleted_job_comes_back_only_enabled(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await register(registry, place, described(), 1)
    await registry.disable(Disabling(place, "order", "1.0.0", 2))
    await registry.delete(place, registered.job_id)
    assert (await rows(database, JOBS, "deleted_at"))[0][0] is not None

    disabled = registration(place, described(enabled=False), 3)
    assert await registry.register(disabled) is None
    assert (await rows(database, JOBS, "deleted_at"))[0][0] is not None

    await register(registry, place, described(), 4)
    assert await rows(database, JOBS, "deleted_at") == [(None,)]


async def test_environments_of_a_project_share_a_job_and_nothing_else(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    other = JobPlace(new_id(), place.project_id, place.organization_id)
    one = await register(registry, place, described(version="2.0.0"), 1)
    two = await register(registry, other, described(version="1.0.0"), 2)
    assert one.job_id == two.job_id
    assert two.dispatcher is not None
    assert two.dispatcher.generation == 1
    aliases = await rows(database, JOB_ALIASES, "value", "environment_id")
    assert aliases == [("1.0.0", other.environment_id), ("2.0.0", place.environment_id)]


async def test_another_project_has_a_job_of_its_own(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    stranger = JobPlace(new_id(), new_id(), new_id())
    one = await register(registry, place, described())
    two = await register(registry, stranger, described())
    assert one.job_id != two.job_id
