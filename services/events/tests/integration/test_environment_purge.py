"""An environment that is deleted leaves nothing behind, and takes nothing of others along."""

from uuid import UUID

import pytest

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as pb
from kongflow_common.db.engine import Database
from kongflow_common.db.environment_purge import EnvironmentPurge
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.rpc.task_results import parse_snooze
from kongflow_common.testing.grpc_server import bearer
from kongflow_events.adapters.environment_purge import STATEMENTS, environment_purge
from services.events.tests.events_context import EventsContext

TABLES = (
    "event_dispatchers",
    "event_records",
    "event_schemas",
    "external_accounts",
    "resource_event_replays",
    "dispatcher_versions",
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
    INSERT INTO events.resource_event_replays (
        id, environment_id, request_id, replay_of, created_at)
    SELECT gen_random_uuid(), %(id)s, 'r' || n, %(id)s, now()
    FROM generate_series(1, %(rows)s) AS g(n)
    """,
)


async def fill(database: Database, rows: int) -> UUID:
    environment_id = new_id()
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
    purged = await environment_purge(database.pool)(gone)
    assert (purged.deleted, purged.complete) == (5 * 30 + 1, True)
    assert await left(database, gone) == NOTHING
    assert await left(database, stays) == before
    [(claims,)] = await database.pool.execute("SELECT count(*) FROM events.ephemeral_claims")
    assert claims == 7
    again = await environment_purge(database.pool)(gone)
    assert (again.deleted, again.complete) == (0, True)


async def test_it_is_broken_off_and_goes_on_with_what_is_left(database: Database) -> None:
    gone = await fill(database, 25)
    times = iter([0.0, 1.0, 2.0, 11.0])
    purge = EnvironmentPurge(
        database.pool, STATEMENTS, at_once=10, monotonic=lambda: next(times, 12.0)
    )
    purged = await purge(gone, seconds=10)
    assert (purged.deleted, purged.complete) == (25, False)
    assert (await left(database, gone))["event_dispatchers"] == 0
    # The server goes away in the middle, after a part is committed.
    broken = EnvironmentPurge(
        database.pool, (*STATEMENTS[:2], "SELECT pg_terminate_backend(pg_backend_pid())")
    )
    with pytest.raises(DependencyUnavailable):
        await broken(gone)
    assert (await left(database, gone))["event_schemas"] == 25
    rest = await environment_purge(database.pool)(gone)
    assert (rest.deleted, rest.complete) == (76, True)
    assert await left(database, gone) == NOTHING


async def test_no_statement_deletes_more_than_it_is_told(database: Database) -> None:
    gone = await fill(database, 12)
    for statement in STATEMENTS[:-1]:
        sizes = []
        while rows := await database.pool.execute(statement, {"environment_id": gone, "limit": 5}):
            sizes.append(len(rows))
        assert sizes == [5, 5, 2]


async def test_the_worker_queue_tells_of_it(context: EventsContext) -> None:
    await context.put()
    await context.send(account_id="customer")
    environment_id = context.environment.environment_id
    request = pb.PurgeEnvironmentRequest()
    request.event.type = "environment.deleted"
    request.event.resource_id = str(environment_id)
    call = context.tasks.PurgeEnvironment(
        request, metadata=bearer(context.server.service_token()), timeout=10
    )
    assert (await call).deleted == 4
    assert parse_snooze(await call.trailing_metadata()) is None
    assert await left(context.database, environment_id) == NOTHING
