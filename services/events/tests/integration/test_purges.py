"""An environment that is deleted leaves nothing behind, and takes nothing of others along."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as pb
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.db.purge import Purge
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.rpc.purge_call import LOOK_AGAIN_AFTER
from kongflow_common.rpc.task_results import Snooze, parse_snooze
from kongflow_common.testing.grpc_server import bearer
from kongflow_events.adapters.purges import OF_ENVIRONMENT
from kongflow_events.adapters.resource_log_upkeep import ResourceLogUpkeep
from services.events.tests.events_context import EventsContext

TABLES = (
    "event_dispatchers",
    "event_records",
    "event_schemas",
    "external_accounts",
    "resource_event_replays",
    "dispatcher_versions",
    "event_replays",
    "resource_events",
)

FILL = (
    """
    INSERT INTO events.external_accounts (id, identifier, organization_id, environment_id)
    SELECT gen_random_uuid(), 'a' || n, %(id)s, %(id)s FROM generate_series(1, %(rows)s) AS g(n)
    """,
    """
    INSERT INTO events.event_dispatchers (
        id, event, source, dispatchable_id, dispatchable, environment_id, external_account_id)
    SELECT gen_random_uuid(), ARRAY['x'], 's', 'd' || n, '{}', %(id)s,
           (SELECT id FROM events.external_accounts WHERE identifier = 'a' || n
               AND environment_id = %(id)s)
    FROM generate_series(1, %(rows)s) AS g(n)
    """,
    """
    INSERT INTO events.ephemeral_claims (dispatcher_id, event_record_id)
    SELECT id, id FROM events.event_dispatchers WHERE environment_id = %(id)s
    """,
    """
    INSERT INTO events.event_records (
        id, event_id, name, source, organization_id, environment_id, project_id,
        external_account_id)
    SELECT gen_random_uuid(), 'e' || n, 'x', 's', %(id)s, %(id)s, %(id)s,
           (SELECT id FROM events.external_accounts WHERE identifier = 'a' || n
               AND environment_id = %(id)s)
    FROM generate_series(1, %(rows)s) AS g(n)
    """,
    """
    INSERT INTO events.event_schemas (id, environment_id, event_name, version, definition, mode)
    SELECT gen_random_uuid(), %(id)s, 'x', n, '', 'OFF' FROM generate_series(1, %(rows)s) AS g(n)
    """,
    """
    INSERT INTO events.event_replays (
        id, environment_id, project_id, organization_id, kind, filter, end_at, events_per_second,
        total_count, next_at)
    SELECT gen_random_uuid(), %(id)s, %(id)s, %(id)s, 'REPLAY', '', now(), 1, n, now()
    FROM generate_series(1, %(rows)s) AS g(n)
    """,
    # Of several days, and of those that have none of their own.
    """
    INSERT INTO events.resource_events (
        id, type, version, "timestamp", resource_id, environment_id, scope_id, logged_at)
    SELECT gen_random_uuid(), 'event.delivered', 1, now(), 'r' || n, %(id)s, %(id)s,
           now() + (n %% 5 - 1) * interval '1 day'
    FROM generate_series(1, %(rows)s) AS g(n)
    """,
    """
    INSERT INTO events.resource_event_replays (
        id, environment_id, request_id, replay_of, created_at)
    SELECT gen_random_uuid(), %(id)s, 'r' || n, %(id)s, now()
    FROM generate_series(1, %(rows)s) AS g(n)
    """,
)


async def fill(database: Database, rows: int) -> UUID:
    environment_id = new_id()
    await ResourceLogUpkeep(database, SystemClock()).once()
    for statement in FILL:
        await database.pool.execute(statement, {"id": environment_id, "rows": rows})
    return environment_id


async def left(database: Database, environment_id: UUID) -> dict[str, int]:
    """How many rows each table has of an environment."""
    counts: dict[str, int] = {}
    for table in TABLES:
        [(rows,)] = await database.pool.execute(
            f"SELECT count(*) FROM events.{table} WHERE environment_id = %s", [environment_id]
        )
        counts[table] = rows
    return counts


NOTHING = dict.fromkeys(TABLES, 0)


async def test_all_of_the_environment_goes_and_nothing_else(database: Database) -> None:
    gone, stays = await fill(database, 30), await fill(database, 7)
    before = await left(database, stays)
    assert before == {**dict.fromkeys(TABLES, 7), "dispatcher_versions": 1}
    purged = await Purge(database.pool, OF_ENVIRONMENT)(gone)
    assert (purged.deleted, purged.complete) == (7 * 30 + 1, True)
    assert await left(database, gone) == NOTHING
    assert await left(database, stays) == before
    [(claims,)] = await database.pool.execute("SELECT count(*) FROM events.ephemeral_claims")
    assert claims == 7
    again = await Purge(database.pool, OF_ENVIRONMENT)(gone)
    assert (again.deleted, again.complete) == (0, True)


async def test_it_is_broken_off_and_goes_on_with_what_is_left(database: Database) -> None:
    gone = await fill(database, 25)
    times = iter([0.0, *(1.0 for _ in range(4)), 11.0])
    purge = Purge(database.pool, OF_ENVIRONMENT, at_once=10, monotonic=lambda: next(times, 12.0))
    purged = await purge(gone, seconds=10)
    assert (purged.deleted, purged.complete) == (45, False)
    assert (await left(database, gone))["event_dispatchers"] == 5
    # The server goes away in the middle, after a part is committed.
    broken = Purge(
        database.pool, (*OF_ENVIRONMENT[:3], "SELECT pg_terminate_backend(pg_backend_pid())")
    )
    with pytest.raises(DependencyUnavailable):
        await broken(gone)
    assert (await left(database, gone))["event_schemas"] == 25
    rest = await Purge(database.pool, OF_ENVIRONMENT)(gone)
    assert (rest.deleted, rest.complete) == (4 * 25 + 1, True)
    assert await left(database, gone) == NOTHING


async def test_no_statement_deletes_more_than_it_is_told(database: Database) -> None:
    gone = await fill(database, 12)
    for statement in OF_ENVIRONMENT[:-1]:
        sizes = []
        while rows := await database.pool.execute(statement, {"owner_id": gone, "limit": 5}):
            sizes.append(len(rows))
        assert sizes == [5, 5, 2]


async def test_the_worker_queue_tells_of_it(context: EventsContext) -> None:
    await context.put()
    await context.send(account_id="customer")
    environment_id = context.environment.environment_id
    request = pb.PurgeEnvironmentRequest()
    request.event.type = "environment.deleted"
    request.event.resource_id = str(environment_id)
    # What comes of other purges meanwhile is found by another look.
    for deleted, snooze in ((5, Snooze(LOOK_AGAIN_AFTER)), (0, None)):
        call = context.tasks.PurgeEnvironment(
            request, metadata=bearer(context.server.service_token()), timeout=10
        )
        assert (await call).deleted == deleted
        assert parse_snooze(await call.trailing_metadata()) == snooze
        assert await left(context.database, environment_id) == NOTHING


async def test_a_part_of_the_log_is_looked_for_in_its_days_only(database: Database) -> None:
    gone = await fill(database, 20)
    [of_log] = [each for each in OF_ENVIRONMENT if "resource_events" in each]
    rows = await database.pool.execute(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {of_log}", {"owner_id": gone, "limit": 2}
    )
    plan = rows[0][0][0]["Plan"]
    # Which days those are is known when the part is: the others are planned and left alone.
    looked_into = {
        node["Relation Name"]
        for node in nodes(plan)
        if "Relation Name" in node and node["Actual Loops"] > 0 and "id = ANY" in conditions(node)
    }
    assert len(looked_into) == 1, looked_into


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def conditions(node: dict[str, Any]) -> str:
    return f"{node.get('Index Cond', '')} {node.get('Filter', '')}"
