"""What the events context holds of environments and accounts, as statements that delete parts."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ACCOUNT", "OF_ENVIRONMENT"]

OF_ENVIRONMENT: Final = (
    # First those that would take events again, would take new ones, and start new runs.
    rows_of("events.event_replays"),
    rows_of("events.event_dispatchers"),
    rows_of("events.event_records"),
    rows_of("events.event_schemas"),
    rows_of("events.external_accounts"),
    rows_of("events.resource_event_replays"),
    # The log is in days, whose rows have no place in the whole: a part is found by its ids, in the
    # days that it is of.
    """
    WITH part AS MATERIALIZED (
        SELECT x.id, x.logged_at FROM events.resource_events x
         WHERE x.scope_id = %(owner_id)b::uuid LIMIT %(limit)b::bigint
    )
    DELETE FROM events.resource_events
     WHERE id = ANY(ARRAY(SELECT part.id FROM part))
       AND logged_at >= (SELECT min(part.logged_at) FROM part)
       AND logged_at <= (SELECT max(part.logged_at) FROM part)
    RETURNING 1
    """,
    # Last: each change of the others raises it.
    rows_of("events.dispatcher_versions"),
)

OF_ACCOUNT: Final = (
    rows_of("events.event_dispatchers", "external_account_id"),
    # With what the log says of them, which nothing leads to when they are gone.
    """
    WITH part AS MATERIALIZED (
        SELECT x.ctid FROM events.event_records x
         WHERE x.external_account_id = %(owner_id)b::uuid LIMIT %(limit)b::bigint
    ), gone AS (
        DELETE FROM events.event_records WHERE ctid = ANY(ARRAY(SELECT part.ctid FROM part))
        RETURNING id
    ), untold AS (
        DELETE FROM events.resource_events
         WHERE resource_id = ANY(ARRAY(SELECT gone.id::text FROM gone))
    )
    SELECT 1 FROM part
    """,
    # Only its own row: no other account has this id.
    rows_of("events.external_accounts", "id"),
)
