"""The tables of jobs, as queries and the check of the migrations see them."""

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
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from kongflow_common.eventing.domain_replays import replayed_events_table
from kongflow_common.eventing.published_rows import published_events_table

SCHEMA = "jobs"
METADATA = MetaData(schema=SCHEMA)
TIME = DateTime(timezone=True)
NOW = text("now()")
FALSE = text("false")

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("internal", Boolean, nullable=False, server_default=FALSE),
    Column("organization_id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("deleted_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="jobs_pkey"),
    UniqueConstraint("project_id", "slug", name="jobs_project_id_slug_key"),
    CheckConstraint("char_length(slug) BETWEEN 1 AND 512", name="jobs_slug_check"),
)
Index("jobs_project_id_id_idx", JOBS.c.project_id, JOBS.c.id)

JOB_QUEUES = Table(
    "job_queues",
    METADATA,
    Column("id", Uuid),
    Column("name", Text, nullable=False),
    Column("environment_id", Uuid, nullable=False),
    Column("max_jobs", Integer, nullable=False, server_default=text("100")),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="job_queues_pkey"),
    UniqueConstraint("environment_id", "name", name="job_queues_environment_id_name_key"),
    CheckConstraint("max_jobs > 0", name="job_queues_max_jobs_check"),
)

CONCURRENCY_LIMIT_GROUPS = Table(
    "concurrency_limit_groups",
    METADATA,
    Column("id", Uuid),
    Column("name", Text, nullable=False),
    Column("concurrency_limit", Integer, nullable=False),
    Column("environment_id", Uuid, nullable=False),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="concurrency_limit_groups_pkey"),
    UniqueConstraint(
        "environment_id", "name", name="concurrency_limit_groups_environment_id_name_key"
    ),
    CheckConstraint("concurrency_limit > 0", name="concurrency_limit_groups_limit_check"),
)

JOB_VERSIONS = Table(
    "job_versions",
    METADATA,
    Column("id", Uuid),
    Column("version", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("trigger", JSONB, nullable=False),
    Column("event_specification", JSONB, nullable=False),
    Column("properties", JSONB),
    Column("trigger_link", Text),
    Column("trigger_help", JSONB),
    Column(
        "job_id",
        Uuid,
        ForeignKey(JOBS.c.id, ondelete="CASCADE", name="job_versions_job_id_fkey"),
        nullable=False,
    ),
    Column("endpoint_id", Uuid, nullable=False),
    Column("environment_id", Uuid, nullable=False),
    Column("organization_id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column(
        "queue_id",
        Uuid,
        ForeignKey(JOB_QUEUES.c.id, name="job_versions_queue_id_fkey"),
        nullable=False,
    ),
    Column("start_position", Text, nullable=False, server_default="LATEST"),
    Column("preprocess_runs", Boolean, nullable=False, server_default=FALSE),
    Column("concurrency_limit", Integer),
    Column(
        "concurrency_limit_group_id",
        Uuid,
        ForeignKey(
            CONCURRENCY_LIMIT_GROUPS.c.id,
            ondelete="SET NULL",
            name="job_versions_concurrency_limit_group_id_fkey",
        ),
    ),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="job_versions_pkey"),
    UniqueConstraint(
        "job_id",
        "version",
        "environment_id",
        name="job_versions_job_id_version_environment_id_key",
    ),
    CheckConstraint("status IN ('ACTIVE', 'DISABLED')", name="job_versions_status_check"),
    CheckConstraint(
        "start_position IN ('INITIAL', 'LATEST')", name="job_versions_start_position_check"
    ),
)
Index(
    "job_versions_environment_id_endpoint_id_idx",
    JOB_VERSIONS.c.environment_id,
    JOB_VERSIONS.c.endpoint_id,
)
Index("job_versions_queue_id_idx", JOB_VERSIONS.c.queue_id)

JOB_ALIASES = Table(
    "job_aliases",
    METADATA,
    Column("id", Uuid),
    Column("name", Text, nullable=False, server_default="latest"),
    Column("value", Text, nullable=False),
    Column(
        "version_id",
        Uuid,
        ForeignKey(JOB_VERSIONS.c.id, ondelete="CASCADE", name="job_aliases_version_id_fkey"),
        nullable=False,
    ),
    Column(
        "job_id",
        Uuid,
        ForeignKey(JOBS.c.id, ondelete="CASCADE", name="job_aliases_job_id_fkey"),
        nullable=False,
    ),
    Column("environment_id", Uuid, nullable=False),
    Column("pinned", Boolean, nullable=False, server_default=FALSE),
    PrimaryKeyConstraint("id", name="job_aliases_pkey"),
    UniqueConstraint(
        "job_id", "environment_id", "name", name="job_aliases_job_id_environment_id_name_key"
    ),
)
Index("job_aliases_version_id_idx", JOB_ALIASES.c.version_id)
Index("job_aliases_environment_id_job_id_idx", JOB_ALIASES.c.environment_id, JOB_ALIASES.c.job_id)

EVENT_EXAMPLES = Table(
    "event_examples",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("icon", Text),
    Column("payload", JSONB),
    Column(
        "job_version_id",
        Uuid,
        ForeignKey(
            JOB_VERSIONS.c.id, ondelete="CASCADE", name="event_examples_job_version_id_fkey"
        ),
        nullable=False,
    ),
    PrimaryKeyConstraint("id", name="event_examples_pkey"),
    UniqueConstraint("slug", "job_version_id", name="event_examples_slug_job_version_id_key"),
)
Index("event_examples_job_version_id_idx", EVENT_EXAMPLES.c.job_version_id)

INTEGRATIONS = Table(
    "integrations",
    METADATA,
    Column("id", Uuid),
    Column("slug", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("organization_id", Uuid, nullable=False),
    Column("auth_source", Text, nullable=False),
    Column("setup_status", Text, nullable=False),
    PrimaryKeyConstraint("id", name="integrations_pkey"),
    UniqueConstraint("organization_id", "slug", name="integrations_organization_id_slug_key"),
    CheckConstraint(
        "auth_source IN ('LOCAL', 'HOSTED', 'RESOLVER')", name="integrations_auth_source_check"
    ),
    CheckConstraint(
        "setup_status IN ('COMPLETE', 'MISSING_FIELDS')", name="integrations_setup_status_check"
    ),
)

JOB_INTEGRATIONS = Table(
    "job_integrations",
    METADATA,
    Column("key", Text, nullable=False),
    Column(
        "version_id",
        Uuid,
        ForeignKey(JOB_VERSIONS.c.id, ondelete="CASCADE", name="job_integrations_version_id_fkey"),
        nullable=False,
    ),
    Column("job_id", Uuid, nullable=False),
    Column(
        "integration_id",
        Uuid,
        ForeignKey(INTEGRATIONS.c.id, name="job_integrations_integration_id_fkey"),
        nullable=False,
    ),
    PrimaryKeyConstraint("version_id", "key", name="job_integrations_pkey"),
)
Index("job_integrations_integration_id_idx", JOB_INTEGRATIONS.c.integration_id)

JOB_DISPATCHERS = Table(
    "job_dispatchers",
    METADATA,
    Column(
        "job_id",
        Uuid,
        ForeignKey(JOBS.c.id, ondelete="CASCADE", name="job_dispatchers_job_id_fkey"),
        nullable=False,
    ),
    Column("environment_id", Uuid, nullable=False),
    Column("generation", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "environment_id", name="job_dispatchers_pkey"),
)

VERSION_GENERATIONS = Table(
    "version_generations",
    METADATA,
    Column("environment_id", Uuid, nullable=False),
    Column("slug", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    PrimaryKeyConstraint("environment_id", "slug", "version", name="version_generations_pkey"),
)

TEST_REQUESTS = Table(
    "test_requests",
    METADATA,
    Column("environment_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("version_id", Uuid, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_record_id", Uuid, nullable=False),
    Column("external_account_id", Uuid),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("environment_id", "request_id", name="test_requests_pkey"),
)
Index("test_requests_created_at_idx", TEST_REQUESTS.c.created_at)

PUBLISHED_EVENTS = published_events_table(METADATA)
REPLAYED_EVENTS = replayed_events_table(METADATA)
