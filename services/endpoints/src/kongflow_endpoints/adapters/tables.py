"""The tables of endpoints, as queries and the check of the migrations see them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from kongflow_common.eventing.published_rows import published_events_table
from kongflow_common.outbox.table import outbox_table

SCHEMA = "endpoints"
METADATA = MetaData(schema=SCHEMA)
TIME = DateTime(timezone=True)
NOW = text("now()")

INDEX_SEQUENCE = Sequence("index_sequence", metadata=METADATA)

ENDPOINTS = Table(
    "endpoints",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("url", Text),
    Column("environment_id", Uuid, nullable=False),
    Column("organization_id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("indexing_hook_identifier", Text, nullable=False),
    Column("version", Text, nullable=False, server_default="unknown"),
    Column("sdk_version", Text, nullable=False, server_default="unknown"),
    Column("run_chunk_execution_limit", Integer, nullable=False, server_default=text("60000")),
    Column("start_task_threshold", Integer, nullable=False, server_default=text("750")),
    Column("before_execute_task_threshold", Integer, nullable=False, server_default=text("1500")),
    Column("before_complete_task_threshold", Integer, nullable=False, server_default=text("750")),
    Column("after_complete_task_threshold", Integer, nullable=False, server_default=text("750")),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Column("environment_type", Text),
    Column("run_chunk_execution_limit_origin", Text, nullable=False, server_default="DEFAULT"),
    Column("probe_requested_at", TIME),
    PrimaryKeyConstraint("id", name="endpoints_pkey"),
    UniqueConstraint("environment_id", "slug", name="endpoints_environment_id_slug_key"),
    CheckConstraint("char_length(slug) BETWEEN 1 AND 100", name="endpoints_slug_check"),
    CheckConstraint("char_length(url) BETWEEN 1 AND 2048", name="endpoints_url_check"),
    CheckConstraint(
        "run_chunk_execution_limit BETWEEN 10000 AND 120000",
        name="endpoints_run_chunk_execution_limit_check",
    ),
    CheckConstraint(
        "run_chunk_execution_limit_origin IN ('DEFAULT', 'PROBE', 'USER')",
        name="endpoints_run_chunk_execution_limit_origin_check",
    ),
)
Index(
    "endpoints_recurring_idx",
    ENDPOINTS.c.id,
    postgresql_where=text("url IS NOT NULL AND environment_type IN ('PRODUCTION', 'STAGING')"),
)
Index(
    "endpoints_environment_id_created_at_idx",
    ENDPOINTS.c.environment_id,
    ENDPOINTS.c.created_at,
    ENDPOINTS.c.id,
)

ENDPOINT_INDEXES = Table(
    "endpoint_indexes",
    METADATA,
    Column("id", Uuid),
    Column(
        "endpoint_id",
        Uuid,
        ForeignKey(ENDPOINTS.c.id, ondelete="CASCADE", name="endpoint_indexes_endpoint_id_fkey"),
        nullable=False,
    ),
    Column("environment_id", Uuid, nullable=False),
    Column(
        "sequence",
        BigInteger,
        nullable=False,
        server_default=text("nextval('endpoints.index_sequence')"),
    ),
    Column("status", Text, nullable=False, server_default="PENDING"),
    Column("source", Text, nullable=False),
    Column("source_data", JSONB),
    Column("reason", Text),
    Column("data", JSONB),
    Column("stats", JSONB),
    Column("error", JSONB),
    Column("fetched_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="endpoint_indexes_pkey"),
    CheckConstraint(
        "status IN ('PENDING', 'STARTED', 'SUCCESS', 'FAILURE')",
        name="endpoint_indexes_status_check",
    ),
    CheckConstraint(
        "source IN ('MANUAL', 'API', 'INTERNAL', 'HOOK')", name="endpoint_indexes_source_check"
    ),
)
Index(
    "endpoint_indexes_endpoint_id_created_at_idx",
    ENDPOINT_INDEXES.c.endpoint_id,
    ENDPOINT_INDEXES.c.created_at,
    ENDPOINT_INDEXES.c.id,
)
Index(
    "endpoint_indexes_pending_idx",
    ENDPOINT_INDEXES.c.endpoint_id,
    postgresql_where=ENDPOINT_INDEXES.c.status == "PENDING",
)
Index(
    "endpoint_indexes_ended_idx",
    ENDPOINT_INDEXES.c.created_at,
    ENDPOINT_INDEXES.c.id,
    postgresql_where=text("status IN ('SUCCESS', 'FAILURE')"),
)

ENDPOINT_INDEX_ITEMS = Table(
    "endpoint_index_items",
    METADATA,
    Column("id", Uuid),
    Column(
        "index_id",
        Uuid,
        ForeignKey(
            ENDPOINT_INDEXES.c.id, ondelete="CASCADE", name="endpoint_index_items_index_id_fkey"
        ),
        nullable=False,
    ),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("version", Text),
    Column("wish", Text, nullable=False),
    Column("internal", Boolean, nullable=False, server_default=text("false")),
    Column("outcome", Text, nullable=False),
    Column("changed", Boolean, nullable=False, server_default=text("true")),
    Column("error", Text),
    Column("warnings", JSONB),
    Column("metadata", JSONB),
    PrimaryKeyConstraint("id", name="endpoint_index_items_pkey"),
    UniqueConstraint("index_id", "kind", "key", name="endpoint_index_items_index_id_kind_key_key"),
    CheckConstraint(
        "kind IN ('JOB', 'SOURCE', 'DYNAMIC_TRIGGER', 'DYNAMIC_SCHEDULE', "
        "'HTTP_ENDPOINT', 'WEBHOOK')",
        name="endpoint_index_items_kind_check",
    ),
    CheckConstraint(
        "wish IN ('REGISTER', 'DISABLE', 'KEEP')", name="endpoint_index_items_wish_check"
    ),
    CheckConstraint(
        "outcome IN ('PENDING', 'REGISTERED', 'DISABLED', 'DEFERRED', 'FAILED')",
        name="endpoint_index_items_outcome_check",
    ),
)
Index(
    "endpoint_index_items_pending_idx",
    ENDPOINT_INDEX_ITEMS.c.index_id,
    postgresql_where=ENDPOINT_INDEX_ITEMS.c.outcome == "PENDING",
)

OUTBOX = outbox_table(METADATA, SCHEMA)

PUBLISHED_EVENTS = published_events_table(METADATA)
