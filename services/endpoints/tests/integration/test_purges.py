"""The endpoints of a deleted environment are deleted with all that they were indexed to."""

from datetime import timedelta
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.purge import Purge
from kongflow_endpoints.adapters.purges import OF_ENVIRONMENT
from services.endpoints.tests.stored import add_endpoint, add_index


async def environment_of(database: Database, endpoint_id: UUID) -> UUID:
    [(id_,)] = await database.pool.execute(
        "SELECT environment_id FROM endpoints.endpoints WHERE id = %s", [endpoint_id]
    )
    return UUID(str(id_))


async def counts(database: Database) -> tuple[int, int, int]:
    """Endpoints, indexes and items."""
    [row] = await database.pool.execute(
        "SELECT (SELECT count(*) FROM endpoints.endpoints),"
        " (SELECT count(*) FROM endpoints.endpoint_indexes),"
        " (SELECT count(*) FROM endpoints.endpoint_index_items)"
    )
    return row[0], row[1], row[2]


async def test_endpoints_go_with_their_indexes_a_bounded_part_at_a_time(
    database: Database,
) -> None:
    gone, stays = await add_endpoint(database), await add_endpoint(database)
    for endpoint in (gone, stays):
        for _ in range(3):
            await add_index(database, endpoint, age=timedelta(), items=7)
    environment_id = await environment_of(database, gone)
    assert environment_id != await environment_of(database, stays)
    sizes = []
    while rows := await database.pool.execute(
        OF_ENVIRONMENT[0], {"owner_id": environment_id, "limit": 10}
    ):
        sizes.append(len(rows))
    assert sizes == [10, 10, 1]
    purged = await Purge(database.pool, OF_ENVIRONMENT)(environment_id)
    assert (purged.deleted, purged.complete) == (4, True)
    assert await counts(database) == (1, 3, 21)
