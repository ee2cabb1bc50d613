"""The tables of runs, as queries and the check of the migrations see them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from kongflow_common.eventing.domain_replays import replayed_events_table
from kongflow_common.eventing.published_rows import published_events_table
from kongflow_common.outbox.table import outbox_table
from kongflow_runs.domain.run import RunState

SCHEMA = "runs"
METADATA = MetaData(schema=SCHEMA)
TIME = DateTime(timezone=True)
STATES = ", ".join(f"'{state}'" for state in RunState)

JOB_RUNS = Table(
    "job_runs",
    METADATA,
    Column("id", Uuid),
    Column("number", BigInteger),
    Column("status", Text, nullable=False, server_default="PENDING"),
    Column("job_id", Uuid, nullable=False),
    Column("version_alias", Text),
    Column("version", Text),
    Column("event_record_id", Uuid, nullable=False),
    Column("dispatcher_id", Uuid),
    Column("environment_id", Uuid, nullable=False),
    Column("organization_id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("external_account_id", Uuid),
    Column("is_test", Boolean, nullable=False, server_default=text("false")),
    Column("internal", Boolean, nullable=False, server_default=text("false")),
    Column("queued_at", TIME),
    Column("started_at", TIME),
    Column("completed_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("updated_at", TIME, nullable=False, server_default=text("now()")),
    Column("request_id", Text),
    Column("version_id", Uuid),
    Column("job_slug", Text),
    Column("job_version", Text),
    Column("endpoint_id", Uuid),
    Column("queue_id", Uuid),
    Column("preprocess", Boolean, nullable=False, server_default=text("false")),
    Column("output", JSONB),
    Column("error", Text),
    Column("execution_count", Integer, nullable=False, server_default=text("0")),
    Column("execution_failure_count", Integer, nullable=False, server_default=text("0")),
    Column("execution_duration_ms", BigInteger, nullable=False, server_default=text("0")),
    Column("execution_job_id", Uuid),
    Column("execution_token", BigInteger),
    Column("timed_out_at", TIME),
    Column("timed_out_reason", Text),
    PrimaryKeyConstraint("id", name="job_runs_pkey"),
    CheckConstraint(
        f"status IN ({STATES})",
        name="job_runs_status_check",
    ),
    CheckConstraint("num_nonnulls(version_alias, version) = 1", name="job_runs_selector_check"),
    CheckConstraint("char_length(request_id) BETWEEN 1 AND 600", name="job_runs_request_id_check"),
)
Index(
    "job_runs_event_record_id_dispatcher_id_job_id_key",
    JOB_RUNS.c.event_record_id,
    JOB_RUNS.c.dispatcher_id,
    JOB_RUNS.c.job_id,
    unique=True,
    postgresql_where=JOB_RUNS.c.dispatcher_id.is_not(None),
)
Index(
    "job_runs_environment_id_request_id_key",
    JOB_RUNS.c.environment_id,
    JOB_RUNS.c.request_id,
    unique=True,
    postgresql_where=JOB_RUNS.c.request_id.is_not(None),
)
Index(
    "job_runs_event_record_id_idx",
    JOB_RUNS.c.event_record_id,
    JOB_RUNS.c.id,
    postgresql_where=JOB_RUNS.c.dispatcher_id.is_(None),
)
Index(
    "job_runs_environment_id_created_at_idx",
    JOB_RUNS.c.environment_id,
    JOB_RUNS.c.created_at,
    JOB_RUNS.c.id,
)

Index(
    "job_runs_external_account_id_idx",
    JOB_RUNS.c.external_account_id,
    postgresql_where=JOB_RUNS.c.external_account_id.is_not(None),
)

JOB_COUNTERS = Table(
    "job_counters",
    METADATA,
    Column("project_id", Uuid, nullable=False),
    Column("job_id", Uuid, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "job_id", name="job_counters_pkey"),
)

OUTBOX = outbox_table(METADATA, SCHEMA)

PUBLISHED_EVENTS = published_events_table(METADATA)

REPLAYED_EVENTS = replayed_events_table(METADATA)
