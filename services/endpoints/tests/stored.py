"""Endpoints and indexes as rows, however old."""

from datetime import timedelta
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id


async def add_endpoint(
    database: Database,
    environment_type: str | None = "PRODUCTION",
    *,
    url: str | None = "http://shop.example/api",
    environment_id: UUID | None = None,
) -> UUID:
    """An endpoint of an environment of its own; answers its id."""
    endpoint_id = new_id()
    await database.pool.execute(
        """
        INSERT INTO endpoints.endpoints (id, slug, url, environment_id, organization_id,
            project_id, indexing_hook_identifier, environment_type)
        VALUES (%s, 'shop', %s, %s, gen_random_uuid(), gen_random_uuid(), 'hook', %s)
        """,
        [endpoint_id, url, environment_id or new_id(), environment_type],
    )
    return endpoint_id


async def add_index(
    database: Database,
    endpoint_id: UUID,
    *,
    age: timedelta,
    status: str = "SUCCESS",
    items: int = 0,
) -> UUID:
    """An index of an endpoint with items; answers its id."""
    index_id = new_id()
    await database.pool.execute(
        """
        INSERT INTO endpoints.endpoint_indexes (id, endpoint_id, environment_id, status, source,
            created_at)
        SELECT %s, id, environment_id, %s, 'API', now() - %s::interval
        FROM endpoints.endpoints WHERE id = %s
        """,
        [index_id, status, age, endpoint_id],
    )
    await database.pool.execute(
        """
        INSERT INTO endpoints.endpoint_index_items (id, index_id, kind, key, wish, outcome)
        SELECT gen_random_uuid(), %s, 'JOB', n::text, 'REGISTER', 'REGISTERED'
        FROM generate_series(1, %s::integer) AS g(n)
        """,
        [index_id, items],
    )
    return index_id
