"""A step of a replay reads no more than it may look at, however large the tables are.

As in test_plans the plans are made while the tables are empty, and all events are one
environment's; here they are those of ordinary statements.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg import dialect

from kongflow_common.db.engine import Database
from kongflow_common.testing.plans import Statement, entries_read
from kongflow_events.adapters.replay_repository import (
    _LOOKED_AT,
    end_of_look,
    next_events,
    running_replays,
)
from kongflow_events.adapters.replay_rows import select_replays
from kongflow_events.adapters.tables import EVENT_REPLAYS
from kongflow_events.application.ports_replays import ReplaySelection
from services.events.tests.integration.test_plans import (
    ENVIRONMENT,
    FILL_ACCOUNTS,
    FILL_EVENTS,
    ROW_ID,
    ROWS,
    row_id,
)

FILL_REPLAYS = f"""
INSERT INTO events.event_replays (
    id, environment_id, project_id, organization_id, kind, filter, end_at, events_per_second,
    total_count, next_at, ended_as, ended_at)
SELECT {ROW_ID}, '{ENVIRONMENT}', '{ENVIRONMENT}', '{ENVIRONMENT}', 'REPLAY', '', now(), 100, 0,
       now(), CASE WHEN n > 3 THEN 'SUCCEEDED' END, CASE WHEN n > 3 THEN now() END
FROM generate_series(1, {ROWS}) AS g(n)
"""

EVERYTHING = ReplaySelection(ENVIRONMENT, None, None, datetime(2100, 1, 1, tzinfo=UTC))
RARE = replace(EVERYTHING, source="trigger.dev", names=["order.refunded"])


def raw(statement: Select[Any]) -> Statement:
    """A statement as its driver sends it."""
    compiled = statement.compile(
        dialect=dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    return str(compiled), dict(compiled.params)


def statements() -> dict[str, Statement]:
    after = row_id(200)
    environment = EVENT_REPLAYS.c.environment_id == ENVIRONMENT
    return {
        "look": raw(end_of_look(EVERYTHING, after)),
        "first look": raw(end_of_look(EVERYTHING, None)),
        "events": raw(next_events(EVERYTHING, after, None, 20)),
        "rare events": raw(next_events(RARE, after, row_id(200 + _LOOKED_AT), 20)),
        "running": raw(running_replays(ENVIRONMENT)),
        "replay": raw(
            select_replays().where(EVENT_REPLAYS.c.id == row_id(1), environment).with_for_update()
        ),
        "list": raw(
            select_replays().where(environment).order_by(EVENT_REPLAYS.c.id.desc()).limit(20)
        ),
    }


async def test_plans_made_for_empty_tables_serve_large_ones(database: Database) -> None:
    read = await entries_read(
        database, "events", statements, fill=[FILL_ACCOUNTS, FILL_EVENTS, FILL_REPLAYS]
    )
    for name in ("look", "first look", "rare events"):
        assert read.pop(name) <= _LOOKED_AT, name
    assert {name: count for name, count in read.items() if count > 100} == {}, read
    assert read["events"] >= 20, "the statistics count nothing"
