"""What the endpoints context holds of an environment, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.connection_pool import ConnectionPool
from kongflow_common.db.environment_purge import EnvironmentPurge

__all__ = ["STATEMENTS", "environment_purge"]

# Items before the indexes, and indexes before the endpoints, that would take them all along.
STATEMENTS: Final = (
    """
    DELETE FROM endpoints.endpoint_index_items WHERE id = ANY(ARRAY(
        SELECT i.id FROM endpoints.endpoints e
        CROSS JOIN LATERAL (SELECT x.id FROM endpoints.endpoint_indexes x
                             WHERE x.endpoint_id = e.id OFFSET 0) x
        CROSS JOIN LATERAL (SELECT i.id FROM endpoints.endpoint_index_items i
                             WHERE i.index_id = x.id LIMIT %(limit)b::bigint) i
         WHERE e.environment_id = %(environment_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
    """
    DELETE FROM endpoints.endpoint_indexes WHERE id = ANY(ARRAY(
        SELECT x.id FROM endpoints.endpoints e
        CROSS JOIN LATERAL (SELECT x.id FROM endpoints.endpoint_indexes x
                             WHERE x.endpoint_id = e.id LIMIT %(limit)b::bigint) x
         WHERE e.environment_id = %(environment_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
    """
    DELETE FROM endpoints.endpoints WHERE id = ANY(ARRAY(
        SELECT e.id FROM endpoints.endpoints e
         WHERE e.environment_id = %(environment_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
)


def environment_purge(pool: ConnectionPool) -> EnvironmentPurge:
    """Deletes the endpoints of an environment, with their indexes."""
    return EnvironmentPurge(pool, STATEMENTS)
