"""The tables of tenancy, as queries and the check of the migrations see them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from kongflow_common.eventing.domain_replays import replayed_events_table
from kongflow_common.eventing.published_rows import published_events_table
from kongflow_common.outbox.table import outbox_table

SCHEMA = "tenancy"
METADATA = MetaData(schema=SCHEMA)
TIME = DateTime(timezone=True)


def created_at() -> Column[object]:
    """When the row was made."""
    return Column("created_at", TIME, nullable=False, server_default=text("now()"))


def deleted_at() -> Column[object]:
    """When it was deleted; whoever finds it for others leaves it out."""
    return Column("deleted_at", TIME)


def updated_at() -> Column[object]:
    """When the row last changed; kept by a trigger."""
    return Column("updated_at", TIME, nullable=False, server_default=text("now()"))


ORGANIZATIONS = Table(
    "organizations",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("runs_enabled", Boolean, nullable=False, server_default=text("true")),
    Column(
        "maximum_execution_time_per_run_ms",
        BigInteger,
        nullable=False,
        server_default=text("900000"),
    ),
    created_at(),
    updated_at(),
    PrimaryKeyConstraint("id", name="organizations_pkey"),
    UniqueConstraint("slug", name="organizations_slug_key"),
    CheckConstraint(
        "maximum_execution_time_per_run_ms > 0", name="organizations_execution_time_check"
    ),
)

PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column(
        "organization_id",
        Uuid,
        ForeignKey(ORGANIZATIONS.c.id, name="projects_organization_id_fkey", ondelete="CASCADE"),
        nullable=False,
    ),
    created_at(),
    updated_at(),
    deleted_at(),
    PrimaryKeyConstraint("id", name="projects_pkey"),
    UniqueConstraint("slug", name="projects_slug_key"),
)
Index("projects_organization_id_idx", PROJECTS.c.organization_id)

ENVIRONMENTS = Table(
    "environments",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("shortcode", Text, nullable=False),
    Column("auto_enable_internal_sources", Boolean, nullable=False, server_default=text("true")),
    Column(
        "project_id",
        Uuid,
        ForeignKey(PROJECTS.c.id, name="environments_project_id_fkey", ondelete="CASCADE"),
        nullable=False,
    ),
    created_at(),
    updated_at(),
    deleted_at(),
    PrimaryKeyConstraint("id", name="environments_pkey"),
    UniqueConstraint("project_id", "slug", name="environments_project_id_slug_key"),
    UniqueConstraint("project_id", "shortcode", name="environments_project_id_shortcode_key"),
    CheckConstraint(
        "type IN ('PRODUCTION', 'STAGING', 'DEVELOPMENT', 'PREVIEW')",
        name="environments_type_check",
    ),
)

ENVIRONMENT_KEYS = Table(
    "environment_keys",
    METADATA,
    Column("id", Uuid),
    Column(
        "environment_id",
        Uuid,
        ForeignKey(
            ENVIRONMENTS.c.id, name="environment_keys_environment_id_fkey", ondelete="CASCADE"
        ),
        nullable=False,
    ),
    Column("kind", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("hint", Text, nullable=False),
    created_at(),
    Column("expires_at", TIME),
    Column("revoked_at", TIME),
    PrimaryKeyConstraint("id", name="environment_keys_pkey"),
    UniqueConstraint("hash", name="environment_keys_hash_key"),
    CheckConstraint("kind IN ('secret', 'public')", name="environment_keys_kind_check"),
    CheckConstraint("length(hash) = 32", name="environment_keys_hash_check"),
)
Index(
    "environment_keys_environment_id_idx",
    ENVIRONMENT_KEYS.c.environment_id,
    ENVIRONMENT_KEYS.c.id,
)

OPERATORS = Table(
    "operators",
    METADATA,
    Column("id", Uuid),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    created_at(),
    Column("revoked_at", TIME),
    PrimaryKeyConstraint("id", name="operators_pkey"),
    UniqueConstraint("name", name="operators_name_key"),
    UniqueConstraint("token_hash", name="operators_token_hash_key"),
    CheckConstraint("length(token_hash) = 32", name="operators_token_hash_check"),
)

WRITE_REQUESTS = Table(
    "write_requests",
    METADATA,
    Column("operator_id", Uuid, nullable=False),
    Column("method", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("resource_id", Uuid, nullable=False),
    created_at(),
    PrimaryKeyConstraint("operator_id", "method", "request_id", name="write_requests_pkey"),
)

AUDIT_ENTRIES = Table(
    "audit_entries",
    METADATA,
    Column("id", Uuid),
    Column("operator_id", Uuid, nullable=False),
    Column("operator_name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Column("trace_id", Text, nullable=False, server_default=text("''")),
    created_at(),
    PrimaryKeyConstraint("id", name="audit_entries_pkey"),
)

OUTBOX = outbox_table(METADATA, SCHEMA)

PUBLISHED_EVENTS = published_events_table(METADATA)

REPLAYED_EVENTS = replayed_events_table(METADATA)
