"""The hot statements read few rows, however large the tables are.

Their plans are made while the tables are empty, as on a new system, and must serve when they are
not. All events and messages are one environment's, which is what makes a walk through it dear.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.eventing.declared_data import RunCompleted
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, PublishedEvent, published_event
from kongflow_common.ids import new_id
from kongflow_common.outbox.claims import OutboxClaims
from kongflow_common.testing.plans import Statement, entries_read
from kongflow_events.adapters import (
    delivery_desk,
    ephemeral_desk,
    event_purge,
    invocation_reader,
    new_event_rows,
    purges,
)
from kongflow_events.adapters.event_messages import (
    invoke_dispatcher,
    invoke_ephemeral_dispatcher,
    remove_expire_dispatcher,
)
from kongflow_events.adapters.resource_log_reader import FIND, LIST, READ
from kongflow_events.adapters.resource_log_writer import RECORD, record_parameters
from kongflow_events.domain.dispatcher_index import MatchedDispatchers
from kongflow_events.domain.event_record import Priority
from services.events.tests.integration.test_event_intake import TENANCY, event

ROWS = 30_000
DISPATCHERS = 10_000
CLAIMED = 20
ENVIRONMENT = TENANCY.environment_id


def row_id(number: int) -> UUID:
    """The id of the row that FILL gives this number."""
    return UUID(int=number)


ROW_ID = "lpad(to_hex(n), 32, '0')::uuid"

FILL_EVENTS = f"""
INSERT INTO events.event_records (
    id, event_id, name, source, organization_id, environment_id, project_id, processed_at)
SELECT {ROW_ID}, 'event-' || n, 'order.created', 'trigger.dev', '{TENANCY.organization_id}',
       '{ENVIRONMENT}', '{TENANCY.project_id}', CASE WHEN n > 100 THEN now() END
FROM generate_series(1, {ROWS}) AS g(n)
"""

# Two are of the environment of the events; all others wait for the same name elsewhere.
FILL_DISPATCHERS = f"""
INSERT INTO events.event_dispatchers (
    id, event, source, dispatchable_id, dispatchable, environment_id)
SELECT {ROW_ID}, ARRAY['order.created'], 'trigger.dev', 'job-' || n, '{{}}',
       CASE WHEN n <= 2 THEN '{ENVIRONMENT}' ELSE gen_random_uuid() END
FROM generate_series(1, {DISPATCHERS}) AS g(n)
"""

# As many that wait for patterns elsewhere.
FILL_PATTERNS = f"""
INSERT INTO events.event_dispatchers (
    id, event, source, dispatchable_id, dispatchable, environment_id, name_patterns)
SELECT gen_random_uuid(), ARRAY['order.*'], 'trigger.dev', 'pattern-' || n, '{{}}',
       CASE WHEN n <= 2 THEN '{ENVIRONMENT}' ELSE gen_random_uuid() END, ARRAY['order.%']
FROM generate_series(1, {DISPATCHERS}) AS g(n)
"""

FILL_CLAIMS = f"""
INSERT INTO events.ephemeral_claims (dispatcher_id, event_record_id)
SELECT {ROW_ID}, {ROW_ID} FROM generate_series(2, {DISPATCHERS}) AS g(n)
"""

FILL_VERSIONS = f"""
INSERT INTO events.dispatcher_versions (environment_id, version)
SELECT {ROW_ID}, n FROM generate_series(1, {ROWS}) AS g(n)
"""

FILL_ACCOUNTS = f"""
INSERT INTO events.external_accounts (id, identifier, organization_id, environment_id)
SELECT {ROW_ID}, 'account-' || n, '{TENANCY.organization_id}', '{ENVIRONMENT}'
FROM generate_series(1, {ROWS}) AS g(n)
ON CONFLICT DO NOTHING
"""

# A third is claimed, and each message has a key of its own.
FILL_OUTBOX = f"""
INSERT INTO events.outbox (id, operation, kind, args, job_key, environment_id, claimed_until)
SELECT {ROW_ID}, 'enqueue', 'deliverEvent', '{{}}', 'event:' || n, '{ENVIRONMENT}',
       CASE WHEN n % 3 = 0 THEN now() + interval '1 hour' END
FROM generate_series(1, {ROWS}) AS g(n)
"""


def intake(account_id: str | None = None) -> dict[str, object]:
    """The parameters that store three events, the first of them matched."""
    matched = MatchedDispatchers(2, [row_id(1), row_id(2)])
    events = [event(account_id=account_id) for _ in range(3)]
    events[0] = replace(events[0], matched=matched)
    arrivals = [new_event_rows.Arrival.of(each) for each in events]
    return {
        **new_event_rows.EVENTS.bind([each.row for each in arrivals]),
        **new_event_rows.INVOCATIONS.bind(
            [row for each in arrivals for row in each.invocation_rows]
        ),
        "claimed_by": "tests",
    }


def settling() -> dict[str, object]:
    """The parameters that settle two events, one of them with an invocation."""
    invocation = invoke_dispatcher(
        row_id(1),
        row_id(1),
        environment_id=ENVIRONMENT,
        priority=Priority.NORMAL,
        traceparent="",
    )
    return {
        **delivery_desk._OUTCOMES.bind(
            [
                (row_id(1), 1, 1, None, ENVIRONMENT, new_id()),
                (row_id(2), 1, 0, 7, ENVIRONMENT, new_id()),
            ]
        ),
        **delivery_desk._INVOCATIONS.bind([invocation], "tests", [row_id(1)]),
    }


def ephemeral() -> dict[str, Statement]:
    """All that an ephemeral dispatcher passes through."""
    key = {"id": row_id(2), "event_record_id": row_id(2), "environment_id": ENVIRONMENT}
    call = invoke_ephemeral_dispatcher(
        row_id(1), row_id(1), environment_id=ENVIRONMENT, traceparent=""
    )
    removal = remove_expire_dispatcher(row_id(2), environment_id=ENVIRONMENT)
    return {
        "claim": (
            ephemeral_desk._CLAIM,
            {
                **ephemeral_desk._CALLS.bind([call], "tests", [row_id(1)]),
                **key,
                "id": row_id(1),
                "event_record_id": row_id(1),
            },
        ),
        "begin": (ephemeral_desk._BEGIN, {**key, "lease": timedelta(seconds=40)}),
        "held": (ephemeral_desk._HELD, key),
        "give back": (
            ephemeral_desk._GIVE_BACK,
            {"id": row_id(2), "event_record_id": row_id(2)},
        ),
        "expire": (
            ephemeral_desk._EXPIRE,
            {
                **ephemeral_desk._REMOVALS.bind([removal], "tests", [row_id(2)]),
                "id": row_id(2),
                "environment_id": ENVIRONMENT,
            },
        ),
    }


# All of one day, as on the busiest of days, and of a transaction that is over.
FILL_LOG = f"""
INSERT INTO events.resource_events (
    id, type, version, "timestamp", resource_id, scope_id, environment_id, xid, sequence)
SELECT {ROW_ID}, 'event.delivered', 1, now(), 'event-' || n, '{ENVIRONMENT}', '{ENVIRONMENT}',
       '3'::xid8, n
FROM generate_series(1, {ROWS}) AS g(n)
"""
SCOPES = array_parameter("uuid", [ENVIRONMENT, TENANCY.project_id, TENANCY.organization_id])
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def logged() -> PublishedEvent:
    """An event that another service publishes."""
    return published_event(
        DECLARED_TYPES["run.completed.success"],
        "run",
        RunCompleted(state="SUCCESS"),
        belonging=Belonging(ENVIRONMENT),
        clock=SystemClock(),
        new_id=new_id,
    )


def listing() -> dict[str, object]:
    """The parameters that list what happened to a resource."""
    return {
        "resource_id": "event-7",
        "scopes": SCOPES,
        "logged_since": LONG_AGO,
        "after_time": LONG_AGO,
        "after_id": row_id(0),
        "end": datetime(2100, 1, 1, tzinfo=UTC),
        "limit": 101,
    }


def watching() -> dict[str, object]:
    """The parameters of a look that finds as much as a look goes through."""
    return {
        "scopes": SCOPES,
        "resource_id": None,
        "types": array_parameter("text", []),
        "since": LONG_AGO,
        "xid": "1",
        "sequence": 1,
    }


def deletions() -> dict[str, Statement]:
    """What the purges read and delete; the deletions a few rows each."""
    kept = timedelta(days=1)
    ids = {"ids": array_parameter("uuid", [row_id(20_000), row_id(20_001)])}
    of_environment = {"owner_id": ENVIRONMENT, "limit": 5}
    marks = {"after": row_id(500), "before": row_id(ROWS), "limit": 20}
    return {
        "next environment": (event_purge._NEXT_ENVIRONMENT, {"after": row_id(1)}),
        "old events": (
            event_purge._OLD,
            {"environment_id": ENVIRONMENT, "kept": kept, **marks},
        ),
        "delete events": (event_purge._DELETE, {**ids, "environment_id": ENVIRONMENT}),
        "accounts looked at": (event_purge._ACCOUNTS, {"after": row_id(500), "limit": 20}),
        "delete accounts": (event_purge._DELETE_ACCOUNTS, ids),
        **{
            f"purge {number}": (statement, of_environment)
            for number, statement in enumerate(purges.OF_ENVIRONMENT)
        },
        # Of an account that has nothing: the events are those of no account.
        **{
            f"purge of an account {number}": (statement, {"owner_id": row_id(7), "limit": 5})
            for number, statement in enumerate(purges.OF_ACCOUNT)
        },
    }


def statements(claims: OutboxClaims) -> dict[str, Statement]:
    """All that an event passes through in this context."""
    due: list[tuple[UUID, UUID | None]] = [(row_id(1), ENVIRONMENT), (row_id(2), None)]
    ids = {"ids": array_parameter("uuid", [row_id(1), row_id(2)])}
    return {
        "intake": (new_event_rows.ADD_EVENTS, intake()),
        "accounts": (
            new_event_rows.ADD_ACCOUNTS,
            new_event_rows.ACCOUNTS.bind(
                [(new_id(), "account-1", TENANCY.organization_id, ENVIRONMENT)]
            ),
        ),
        "intake with accounts": (new_event_rows.ADD_EVENTS_WITH_ACCOUNTS, intake("account-1")),
        "existing events": (
            new_event_rows.READ_EXISTING,
            new_event_rows.KEYS.bind([("event-1", ENVIRONMENT), ("event-2", ENVIRONMENT)]),
        ),
        "delivery": (delivery_desk._READ, {**delivery_desk._KEYS.bind(due), "limit": 100}),
        "delivery from memory": (delivery_desk._READ_EVENTS, delivery_desk._KEYS.bind(due)),
        "settle": (delivery_desk._SETTLE, settling()),
        "invocation": (
            invocation_reader._READ,
            invocation_reader._KEYS.bind(
                [(0, row_id(1), row_id(1), ENVIRONMENT), (1, row_id(2), row_id(2), None)]
            ),
        ),
        **ephemeral(),
        "log": (RECORD, record_parameters([logged()])),
        "log of a resource": (LIST, listing()),
        "event of the log": (
            FIND,
            {"id": row_id(1), "scopes": array_parameter("uuid", [ENVIRONMENT])},
        ),
        "watch": (READ, watching()),
        "watch of nothing new": (READ, {**watching(), "xid": str(2**40)}),
        **deletions(),
        "outbox claim": (claims._claim, {"claimed_by": "tests"}),
        "outbox release": (claims._release, {**ids, "claimed_by": "tests"}),
        "outbox delete": (claims._delete, ids),
    }


async def test_plans_made_for_empty_tables_serve_large_ones(database: Database) -> None:
    claims = OutboxClaims(database, "events", "tests", CLAIMED)
    read = await entries_read(
        database,
        "events",
        lambda: statements(claims),
        fill=[
            FILL_ACCOUNTS,
            FILL_EVENTS,
            FILL_DISPATCHERS,
            FILL_PATTERNS,
            FILL_CLAIMS,
            FILL_VERSIONS,
            FILL_OUTBOX,
            FILL_LOG,
        ],
    )
    assert {name: count for name, count in read.items() if count > 100 and name != "watch"} == {}, (
        read
    )
    # It goes through a hundred rows, and reads the index beside them.
    assert 100 <= read["watch"] <= 300, read
    assert read["outbox claim"] >= CLAIMED, "the statistics count nothing"
