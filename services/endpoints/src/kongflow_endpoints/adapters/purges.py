"""What the endpoints context holds of an environment, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ENVIRONMENT"]

# Items before the indexes, and indexes before the endpoints, that would take them all along.
OF_ENVIRONMENT: Final = (
    """
    DELETE FROM endpoints.endpoint_index_items WHERE id = ANY(ARRAY(
        SELECT i.id FROM endpoints.endpoints e
        CROSS JOIN LATERAL (SELECT x.id FROM endpoints.endpoint_indexes x
                             WHERE x.endpoint_id = e.id OFFSET 0) x
        CROSS JOIN LATERAL (SELECT i.id FROM endpoints.endpoint_index_items i
                             WHERE i.index_id = x.id LIMIT %(limit)b::bigint) i
         WHERE e.environment_id = %(owner_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
    """
    DELETE FROM endpoints.endpoint_indexes WHERE id = ANY(ARRAY(
        SELECT x.id FROM endpoints.endpoints e
        CROSS JOIN LATERAL (SELECT x.id FROM endpoints.endpoint_indexes x
                             WHERE x.endpoint_id = e.id LIMIT %(limit)b::bigint) x
         WHERE e.environment_id = %(owner_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
    rows_of("endpoints.endpoints"),
)
