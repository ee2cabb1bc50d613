"""The log of what happens to resources, a partition for each day."""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID
from sqlalchemy.types import UserDefinedType

from kongflow_common.eventing.domain_replays import replayed_events_table
from kongflow_events.adapters.schema import METADATA, SCHEMA

__all__ = ["REPLAYED_EVENTS", "RESOURCE_EVENTS", "RESOURCE_EVENT_REPLAYS", "RESOURCE_LOG"]


class Xid8(UserDefinedType[str]):
    """The number of a transaction, 64 bits wide."""

    cache_ok = True

    def get_col_spec(self, **_kwargs: object) -> str:
        return "xid8"


_SEQUENCE = Sequence("resource_events_sequence_seq", schema=SCHEMA, metadata=METADATA)

# A partition for each day, made and dropped by ResourceLogUpkeep.
RESOURCE_EVENTS = Table(
    "resource_events",
    METADATA,
    Column("id", UUID, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("timestamp", TIMESTAMP(timezone=True), nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("user_id", Text, nullable=False, server_default=text("''")),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),
    Column("organization_id", UUID),
    Column("project_id", UUID),
    Column("environment_id", UUID),
    # The narrowest of these three: who sees that one sees the event.
    Column("scope_id", UUID),
    Column("replay_of", UUID),
    Column("sequence", BigInteger, nullable=False, server_default=_SEQUENCE.next_value()),
    Column("xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column(
        "logged_at",
        TIMESTAMP(timezone=True),
        nullable=False,
        server_default=func.clock_timestamp(),
    ),
    PrimaryKeyConstraint("id", "logged_at", name="resource_events_pkey"),
    postgresql_partition_by="RANGE (logged_at)",
)
Index(
    "resource_events_scope_id_xid_sequence_idx",
    RESOURCE_EVENTS.c.scope_id,
    RESOURCE_EVENTS.c.xid,
    RESOURCE_EVENTS.c.sequence,
)
Index(
    "resource_events_resource_id_timestamp_id_idx",
    RESOURCE_EVENTS.c.resource_id,
    RESOURCE_EVENTS.c.timestamp,
    RESOURCE_EVENTS.c.id,
)

# What comes on a day without a partition.
event.listen(
    RESOURCE_EVENTS,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE TABLE events.resource_events_rest PARTITION OF events.resource_events DEFAULT"
    ),
)

# What was replayed by a request with an id, so that its repeat is recognised.
RESOURCE_EVENT_REPLAYS = Table(
    "resource_event_replays",
    METADATA,
    # That of the new event.
    Column("id", UUID, primary_key=True),
    Column("environment_id", UUID, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("replay_of", UUID, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    UniqueConstraint(
        "environment_id",
        "request_id",
        name="resource_event_replays_environment_id_request_id_key",
    ),
)
Index("resource_event_replays_created_at_idx", RESOURCE_EVENT_REPLAYS.c.created_at)

# Which replays of its own events this service has carried out.
REPLAYED_EVENTS = replayed_events_table(METADATA)

# One row, whose key signs resume tokens.
RESOURCE_LOG = Table(
    "resource_log",
    METADATA,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("token_key", LargeBinary, nullable=False),
    CheckConstraint("only_row", name="resource_log_only_row_check"),
)
