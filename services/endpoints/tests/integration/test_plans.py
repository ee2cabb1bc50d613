"""What the clock has done reads few rows, however large the tables are.

Plans are made while the tables are empty, as on a new system, and must serve when they are not.
"""

from datetime import UTC, datetime
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.ids import new_id
from kongflow_common.testing.plans import Statement, entries_read
from kongflow_endpoints.adapters import index_purge, index_statements, recurring_indexes

ENDPOINTS = 10_000
INDEXES = 30_000
ROW_ID = "lpad(to_hex(n), 32, '0')::uuid"


def row_id(number: int) -> UUID:
    """The id of the row that FILL gives this number."""
    return UUID(int=number)


# Most are of development; of the others the first ten are due.
FILL = (
    f"""
    INSERT INTO endpoints.endpoints (id, slug, url, environment_id, organization_id, project_id,
        indexing_hook_identifier, environment_type)
    SELECT {ROW_ID}, 'shop', 'http://shop.example/', gen_random_uuid(), gen_random_uuid(),
        gen_random_uuid(), 'hook', CASE WHEN n <= 10 THEN 'PRODUCTION' ELSE 'DEVELOPMENT' END
    FROM generate_series(1, {ENDPOINTS}) AS g(n)
    """,
    f"""
    INSERT INTO endpoints.endpoint_indexes (id, endpoint_id, environment_id, status, source,
        created_at)
    SELECT {ROW_ID}, {ROW_ID.replace("n)", f"1 + n % {ENDPOINTS})")}, gen_random_uuid(),
        CASE WHEN n % 100 = 99 THEN 'PENDING' ELSE 'SUCCESS' END, 'API',
        now() - make_interval(mins => 11 + n)
    FROM generate_series(1, {INDEXES}) AS g(n)
    """,
    f"""
    INSERT INTO endpoints.endpoint_index_items (id, index_id, kind, key, wish, outcome)
    SELECT {ROW_ID}, {ROW_ID}, 'JOB', 'order', 'REGISTER', 'REGISTERED'
    FROM generate_series(1, {INDEXES}) AS g(n)
    """,
)  # fmt: skip

STATEMENTS: dict[str, Statement] = {
    "lock due": (recurring_indexes._LOCK_DUE, {"after": row_id(0), "limit": 100}),
    "begin": (
        recurring_indexes._BEGIN,
        recurring_indexes._NEW.bind([(new_id(), row_id(1)), (new_id(), row_id(2))]),
    ),
    "old": (
        index_purge._OLD,
        {"time": datetime(1970, 1, 1, tzinfo=UTC), "id": row_id(0), "limit": 20},
    ),
    "delete items": (
        index_purge._DELETE_ITEMS,
        {"ids": array_parameter("uuid", [row_id(1), row_id(2)]), "limit": 20},
    ),
    "delete": (index_purge._DELETE, {"ids": array_parameter("uuid", [row_id(1), row_id(2)])}),
    "want a probe": (index_statements.WANT_PROBE, {"id": row_id(1)}),
}


async def test_plans_made_for_empty_tables_serve_large_ones(database: Database) -> None:
    read = await entries_read(database, "endpoints", lambda: STATEMENTS, fill=FILL)
    assert {name: count for name, count in read.items() if count > 100} == {}, read
    assert read["lock due"] >= 10, "the statistics count nothing"
    assert read["delete items"] >= 2, "there was nothing to delete"
