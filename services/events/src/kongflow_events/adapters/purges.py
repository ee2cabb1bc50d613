"""What the events context holds of an environment, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ENVIRONMENT"]

OF_ENVIRONMENT: Final = (
    # First those that would take new events, and start new runs.
    rows_of("events.event_dispatchers"),
    rows_of("events.event_records"),
    rows_of("events.event_schemas"),
    rows_of("events.external_accounts"),
    # Last: each change of the others raises it.
    rows_of("events.dispatcher_versions"),
)
