"""The tables of the schema `events`, as SQLAlchemy Core sees them; migrations make them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TIMESTAMP, UUID

from kongflow_common.outbox.table import outbox_table
from kongflow_events.adapters.log_tables import RESOURCE_EVENTS, RESOURCE_LOG
from kongflow_events.adapters.schema import METADATA, SCHEMA

__all__ = [
    "DISPATCHER_VERSIONS",
    "EPHEMERAL_CLAIMS",
    "EVENT_DISPATCHERS",
    "EVENT_RECORDS",
    "EVENT_REPLAYS",
    "EVENT_SCHEMAS",
    "EXTERNAL_ACCOUNTS",
    "METADATA",
    "OUTBOX",
    "RESOURCE_EVENTS",
    "RESOURCE_LOG",
    "SCHEMA",
]

EXTERNAL_ACCOUNTS = Table(
    "external_accounts",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("identifier", Text, nullable=False),
    Column("metadata", JSONB),
    Column("organization_id", UUID, nullable=False),
    Column("environment_id", UUID, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint(
        "environment_id", "identifier", name="external_accounts_environment_id_identifier_key"
    ),
    CheckConstraint(
        "char_length(identifier) BETWEEN 1 AND 512", name="external_accounts_identifier_check"
    ),
)

EVENT_RECORDS = Table(
    "event_records",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("timestamp", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    # As they were sent: nothing in the database looks into them.
    Column("payload", JSON, nullable=False, server_default=text("'{}'")),
    Column("payload_type", Text, nullable=False, server_default=text("'JSON'")),
    Column("context", JSON, nullable=False, server_default=text("'{}'")),
    Column("source", Text, nullable=False, server_default=text("'trigger.dev'")),
    Column("source_context", JSONB),
    Column("organization_id", UUID, nullable=False),
    Column("environment_id", UUID, nullable=False),
    Column("project_id", UUID, nullable=False),
    Column(
        "external_account_id",
        UUID,
        ForeignKey(
            EXTERNAL_ACCOUNTS.c.id,
            ondelete="SET NULL",
            name="event_records_external_account_id_fkey",
        ),
    ),
    Column("http_endpoint_id", UUID),
    Column("http_endpoint_environment_id", UUID),
    Column("deliver_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    Column("delivered_at", TIMESTAMP(timezone=True)),
    Column("processed_at", TIMESTAMP(timezone=True)),
    Column("matched_count", Integer, nullable=False, server_default=text("0")),
    Column("cancelled_at", TIMESTAMP(timezone=True)),
    Column("is_test", Boolean, nullable=False, server_default=text("false")),
    Column("internal", Boolean, nullable=False, server_default=text("false")),
    Column("delivery_revision", Integer, nullable=False, server_default=text("1")),
    Column("delivery_cursor", UUID),
    Column("priority", SmallInteger, nullable=False, server_default=text("1")),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    # {version, warnings} where a schema found something.
    Column("schema_check", JSONB),
    # No foreign key: retention deletes the original first.
    Column("replay_of", UUID),
    UniqueConstraint(
        "event_id", "environment_id", name="event_records_event_id_environment_id_key"
    ),
    CheckConstraint("payload_type IN ('JSON', 'REQUEST')", name="event_records_payload_type_check"),
    CheckConstraint("priority BETWEEN 1 AND 4", name="event_records_priority_check"),
    CheckConstraint(
        "cancelled_at IS NULL OR processed_at IS NULL", name="event_records_cancelled_at_check"
    ),
)
# Newest first within an environment: ids of version 7 are in the order of their time.
Index("event_records_environment_id_id_idx", EVENT_RECORDS.c.environment_id, EVENT_RECORDS.c.id)
Index(
    "event_records_environment_id_name_id_idx",
    EVENT_RECORDS.c.environment_id,
    EVENT_RECORDS.c.name,
    EVENT_RECORDS.c.id,
)
# Pending and cancelled ones: few, and no entry where an event is matched as it is stored. What is
# not processed is not delivered: both are asked for by lists alone, so that the planner does not
# take this index where an event is found by its id.
Index(
    "event_records_environment_id_unprocessed_id_idx",
    EVENT_RECORDS.c.environment_id,
    EVENT_RECORDS.c.id,
    postgresql_where=and_(
        EVENT_RECORDS.c.processed_at.is_(None), EVENT_RECORDS.c.delivered_at.is_(None)
    ),
)
Index(
    "event_records_environment_id_test_id_idx",
    EVENT_RECORDS.c.environment_id,
    EVENT_RECORDS.c.id,
    postgresql_where=EVENT_RECORDS.c.is_test,
)
# For people who ask: no statement of the service looks for a time without an environment.
Index(
    "event_records_created_at_brin_idx",
    EVENT_RECORDS.c.created_at,
    postgresql_using="brin",
    postgresql_with={"autosummarize": "on"},
)
Index(
    "event_records_external_account_id_idx",
    EVENT_RECORDS.c.external_account_id,
    postgresql_where=EVENT_RECORDS.c.external_account_id.is_not(None),
)
Index(
    "event_records_replay_of_idx",
    EVENT_RECORDS.c.replay_of,
    EVENT_RECORDS.c.environment_id,
    EVENT_RECORDS.c.id,
    postgresql_where=EVENT_RECORDS.c.replay_of.is_not(None),
)

EVENT_DISPATCHERS = Table(
    "event_dispatchers",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("event", ARRAY(Text), nullable=False),
    Column("source", Text, nullable=False),
    Column("payload_filter", JSONB),
    Column("context_filter", JSONB),
    Column("manual", Boolean, nullable=False, server_default=text("false")),
    Column("dispatchable_id", Text, nullable=False),
    Column("dispatchable", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    # Without its account a dispatcher would take everybody's events: it goes with it.
    Column(
        "external_account_id",
        UUID,
        ForeignKey(
            EXTERNAL_ACCOUNTS.c.id,
            ondelete="CASCADE",
            name="event_dispatchers_external_account_id_fkey",
        ),
    ),
    Column("environment_id", UUID, nullable=False),
    Column("generation", BigInteger, nullable=False, server_default=text("1")),
    # The version of its environment's dispatchers that its last change made, by a trigger.
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    # For LIKE, where stars in names stand for any characters; else null.
    Column("name_patterns", ARRAY(Text)),
    UniqueConstraint(
        "dispatchable_id",
        "environment_id",
        name="event_dispatchers_dispatchable_id_environment_id_key",
    ),
    CheckConstraint("cardinality(event) >= 1", name="event_dispatchers_event_check"),
)
Index(
    "event_dispatchers_environment_id_id_idx",
    EVENT_DISPATCHERS.c.environment_id,
    EVENT_DISPATCHERS.c.id,
)
Index(
    "event_dispatchers_environment_id_version_idx",
    EVENT_DISPATCHERS.c.environment_id,
    EVENT_DISPATCHERS.c.version,
    EVENT_DISPATCHERS.c.id,
)
Index(
    "event_dispatchers_event_idx",
    EVENT_DISPATCHERS.c.event,
    postgresql_using="gin",
    postgresql_where=EVENT_DISPATCHERS.c.enabled,
)
Index(
    "event_dispatchers_name_patterns_idx",
    EVENT_DISPATCHERS.c.environment_id,
    EVENT_DISPATCHERS.c.source,
    EVENT_DISPATCHERS.c.id,
    postgresql_where=and_(
        EVENT_DISPATCHERS.c.enabled, EVENT_DISPATCHERS.c.name_patterns.is_not(None)
    ),
)
Index(
    "event_dispatchers_external_account_id_idx",
    EVENT_DISPATCHERS.c.external_account_id,
    postgresql_where=EVENT_DISPATCHERS.c.external_account_id.is_not(None),
)

# The event that an ephemeral dispatcher is told of; nobody else tells it before `calling_until`.
EPHEMERAL_CLAIMS = Table(
    "ephemeral_claims",
    METADATA,
    Column(
        "dispatcher_id",
        UUID,
        ForeignKey(
            EVENT_DISPATCHERS.c.id,
            ondelete="CASCADE",
            name="ephemeral_claims_dispatcher_id_fkey",
        ),
        primary_key=True,
    ),
    Column("event_record_id", UUID, nullable=False),
    Column("calling_until", TIMESTAMP(timezone=True)),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
)

# Raised by triggers on event_dispatchers. What is known of dispatchers from before
# `complete_since` is to be read anew: since then one was deleted.
DISPATCHER_VERSIONS = Table(
    "dispatcher_versions",
    METADATA,
    Column("environment_id", UUID, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("complete_since", BigInteger, nullable=False, server_default=text("0")),
    # Raised by a trigger on event_schemas.
    Column("schema_version", BigInteger, nullable=False, server_default=text("0")),
)

EVENT_SCHEMAS = Table(
    "event_schemas",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("environment_id", UUID, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    # Deleted versions keep their numbers from being given again; their definition is empty.
    Column("deleted_at", TIMESTAMP(timezone=True)),
    UniqueConstraint(
        "environment_id",
        "event_name",
        "version",
        name="event_schemas_environment_id_event_name_version_key",
    ),
    CheckConstraint(
        "char_length(event_name) BETWEEN 1 AND 512", name="event_schemas_event_name_check"
    ),
    CheckConstraint("mode IN ('REJECT', 'WARN', 'OFF')", name="event_schemas_mode_check"),
)
Index(
    "event_schemas_environment_id_id_idx",
    EVENT_SCHEMAS.c.environment_id,
    EVENT_SCHEMAS.c.id,
    postgresql_where=EVENT_SCHEMAS.c.deleted_at.is_(None),
)

# Events with ids up to `last_record_id` have had their turn; the next have it at `next_at`.
EVENT_REPLAYS = Table(
    "event_replays",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("environment_id", UUID, nullable=False),
    Column("project_id", UUID, nullable=False),
    Column("organization_id", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("filter", Text, nullable=False),
    Column("start_at", TIMESTAMP(timezone=True)),
    Column("end_at", TIMESTAMP(timezone=True), nullable=False),
    Column("dispatcher_id", UUID),
    Column("events_per_second", Integer, nullable=False),
    Column("total_count", BigInteger, nullable=False),
    Column("replayed_count", BigInteger, nullable=False, server_default=text("0")),
    Column("skipped_count", BigInteger, nullable=False, server_default=text("0")),
    Column("refused_count", BigInteger, nullable=False, server_default=text("0")),
    Column("last_record_id", UUID),
    Column("next_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_as", Text),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("error_message", Text),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    # The time ran out while they were counted.
    Column("total_is_partial", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("kind IN ('REPLAY', 'BACKFILL')", name="event_replays_kind_check"),
    CheckConstraint(
        "ended_as IN ('SUCCEEDED', 'CANCELLED', 'FAILED')", name="event_replays_ended_as_check"
    ),
    CheckConstraint("(ended_as IS NULL) = (ended_at IS NULL)", name="event_replays_ended_at_check"),
    CheckConstraint(
        "kind = 'REPLAY' OR dispatcher_id IS NOT NULL", name="event_replays_dispatcher_id_check"
    ),
)
Index("event_replays_environment_id_id_idx", EVENT_REPLAYS.c.environment_id, EVENT_REPLAYS.c.id)
Index(
    "event_replays_running_idx",
    EVENT_REPLAYS.c.environment_id,
    postgresql_where=EVENT_REPLAYS.c.ended_at.is_(None),
)

OUTBOX = outbox_table(METADATA, SCHEMA)
