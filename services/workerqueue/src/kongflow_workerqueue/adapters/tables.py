"""The tables of the worker queue, as queries and the check of the migrations see them."""

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
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA = "workerqueue"
METADATA = MetaData(schema=SCHEMA)

_TIME = DateTime(timezone=True)
_NOW = text("now()")
# Expressions as PostgreSQL writes them: adapters/ledger_order.py has those of the statements.
_ENVIRONMENT = "COALESCE(environment_id, '00000000-0000-0000-0000-000000000000'::uuid)"
_EFFECTIVE_TIME = (
    "((run_at AT TIME ZONE 'UTC'::text) + (priority - 1)::double precision * '00:00:30'::interval)"
)
_WAITING = "state = 'available' AND admitted_at IS NULL"
_ADMITTED = "state = 'available' AND admitted_at IS NOT NULL"
_UNFINISHED = "state IN ('available', 'scheduled', 'retryable', 'running')"

QUEUED_JOBS = Table(
    "queued_jobs",
    METADATA,
    Column("id", Uuid),
    Column("turn", BigInteger, nullable=False, server_default=text("1")),
    Column("run_at", _TIME, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("attempted_at", _TIME),
    Column("finalized_at", _TIME),
    Column("admitted_at", _TIME),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False),
    Column("lapses", Integer, nullable=False, server_default=text("0")),
    Column("suspicion", SmallInteger, nullable=False, server_default=text("0")),
    Column("alone_at", _TIME),
    Column("lost_at", _TIME),
    Column("priority", SmallInteger, nullable=False),
    Column("worker_id", Uuid),
    Column("environment_id", Uuid),
    Column("unique_key", Uuid),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("job_key", Text),
    Column("waiting_for", Text),
    Column("traceparent", Text),
    Column("args", JSONB, nullable=False),
    Column("metadata", JSONB),
    Column("tags", ARRAY(Text)),
    Column("errors", JSONB),
    Column("unique_until", _TIME),
    Column("unique_states", SmallInteger),
    Column("limit_lane", Uuid),
    Column("serial_key", Text),
    Column("concurrency_key", Text),
    Column("max_running", Integer),
    Column("rate_key", Text),
    Column("rate_interval", BigInteger),
    Column("rate_burst", Integer),
    PrimaryKeyConstraint("id", name="queued_jobs_pkey"),
    CheckConstraint(
        "state IN ('available', 'scheduled', 'running', 'retryable', "
        "'completed', 'cancelled', 'discarded')",
        name="queued_jobs_state_check",
    ),
    CheckConstraint(
        "(finalized_at IS NOT NULL) = (state IN ('completed', 'cancelled', 'discarded'))",
        name="queued_jobs_finalized_check",
    ),
    CheckConstraint(
        "(worker_id IS NOT NULL) = (state = 'running')", name="queued_jobs_worker_check"
    ),
    CheckConstraint(
        "admitted_at IS NULL OR state = 'available'", name="queued_jobs_admitted_check"
    ),
    CheckConstraint("turn >= 1", name="queued_jobs_turn_check"),
    CheckConstraint("suspicion BETWEEN 0 AND 5", name="queued_jobs_suspicion_check"),
    CheckConstraint("priority BETWEEN 1 AND 4", name="queued_jobs_priority_check"),
    CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="queued_jobs_attempt_check"),
    CheckConstraint("max_attempts BETWEEN 1 AND 1000", name="queued_jobs_max_attempts_check"),
    CheckConstraint("jsonb_typeof(args) = 'object'", name="queued_jobs_args_check"),
    CheckConstraint(
        "(limit_lane IS NOT NULL) = (coalesce(serial_key, concurrency_key, rate_key) IS NOT NULL) "
        "AND (concurrency_key IS NOT NULL) = (max_running IS NOT NULL) "
        "AND (rate_key IS NOT NULL) = (rate_interval IS NOT NULL) "
        "AND (rate_key IS NOT NULL) = (rate_burst IS NOT NULL) "
        "AND max_running >= 1 AND rate_interval >= 1 AND rate_burst >= 1",
        name="queued_jobs_limit_check",
    ),
    CheckConstraint("length(kind) BETWEEN 1 AND 200", name="queued_jobs_kind_check"),
    CheckConstraint("length(queue) BETWEEN 1 AND 128", name="queued_jobs_queue_check"),
    CheckConstraint("length(job_key) BETWEEN 1 AND 512", name="queued_jobs_job_key_check"),
    CheckConstraint(
        "unique_states & 11 = 11 AND unique_states BETWEEN 1 AND 127",
        name="queued_jobs_unique_states_check",
    ),
    Index(
        "queued_jobs_job_key_key",
        "job_key",
        "kind",
        "environment_id",
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=text(f"job_key IS NOT NULL AND {_UNFINISHED}"),
    ),
    Index(
        "queued_jobs_unique_key_key",
        "unique_key",
        unique=True,
        postgresql_where=text(
            f"unique_key IS NOT NULL AND ({_UNFINISHED} OR unique_states & CASE state"
            " WHEN 'completed' THEN 16 WHEN 'cancelled' THEN 32 WHEN 'discarded' THEN 64"
            " ELSE 0 END <> 0)"
        ),
    ),
    Index(
        "queued_jobs_admission_idx",
        "queue",
        text(_ENVIRONMENT),
        text(_EFFECTIVE_TIME),
        "id",
        postgresql_where=text(f"{_WAITING} AND limit_lane IS NULL"),
    ),
    Index(
        "queued_jobs_lane_idx",
        "limit_lane",
        text(_EFFECTIVE_TIME),
        "id",
        postgresql_where=text(f"limit_lane IS NOT NULL AND {_WAITING}"),
    ),
    Index(
        "queued_jobs_limited_due_idx",
        "run_at",
        postgresql_where=text(f"limit_lane IS NOT NULL AND {_WAITING}"),
    ),
    Index(
        "queued_jobs_concurrency_lane_idx",
        "concurrency_key",
        "limit_lane",
        postgresql_where=text(f"concurrency_key IS NOT NULL AND {_WAITING}"),
    ),
    Index(
        "queued_jobs_concurrency_idx",
        "concurrency_key",
        postgresql_where=text(
            "concurrency_key IS NOT NULL "
            "AND (state = 'running' OR state = 'available' AND admitted_at IS NOT NULL)"
        ),
    ),
    Index(
        "queued_jobs_serial_idx",
        "serial_key",
        text(
            "(\nCASE\n    WHEN state = 'running'::text OR admitted_at IS NOT NULL THEN 0\n"
            "    WHEN attempted_at IS NOT NULL THEN 1\n    ELSE 2\nEND)"
        ),
        "run_at",
        "id",
        postgresql_where=text(
            "serial_key IS NOT NULL AND (state IN ('available', 'running') "
            "OR state IN ('scheduled', 'retryable') AND attempted_at IS NOT NULL)"
        ),
    ),
    Index(
        "queued_jobs_limited_window_idx",
        "queue",
        "rate_key",
        postgresql_where=text(f"limit_lane IS NOT NULL AND {_ADMITTED}"),
    ),
    Index(
        "queued_jobs_rate_idx",
        "rate_key",
        postgresql_where=text(f"rate_key IS NOT NULL AND {_ADMITTED}"),
    ),
    Index(
        "queued_jobs_admitted_idx",
        "queue",
        "admitted_at",
        postgresql_where=text("state = 'available' AND admitted_at IS NOT NULL"),
    ),
    Index(
        "queued_jobs_due_idx",
        "run_at",
        postgresql_where=text("state IN ('scheduled', 'retryable')"),
    ),
    Index(
        "queued_jobs_waiting_idx",
        "waiting_for",
        "kind",
        postgresql_where=text("waiting_for IS NOT NULL AND state = 'scheduled'"),
    ),
    Index(
        "queued_jobs_running_idx",
        "worker_id",
        postgresql_where=text("state = 'running'"),
    ),
    Index(
        "queued_jobs_retention_idx",
        "finalized_at",
        postgresql_where=text("state IN ('completed', 'cancelled')"),
    ),
    Index(
        "queued_jobs_cancelled_idx",
        "finalized_at",
        postgresql_where=text("state = 'cancelled'"),
    ),
    Index(
        "queued_jobs_discarded_idx",
        "finalized_at",
        postgresql_where=text("state = 'discarded'"),
    ),
    Index(
        "queued_jobs_failed_idx",
        "state",
        "id",
        postgresql_where=text("state IN ('retryable', 'discarded')"),
    ),
    Index(
        "queued_jobs_environment_time_idx",
        "environment_id",
        "created_at",
        "id",
        postgresql_where=text("state <> 'running'"),
    ),
    Index(
        "queued_jobs_group_idx",
        "state",
        "queue",
        "kind",
        "created_at",
        "id",
        postgresql_where=text("state <> 'running'"),
    ),
    Index(
        "queued_jobs_suspects_idx",
        "waiting_for",
        "suspicion",
        "run_at",
        postgresql_where=text("suspicion > 0 AND state IN ('scheduled', 'running')"),
    ),
)

COMMAND_RECEIPTS = Table(
    "command_receipts",
    METADATA,
    Column("outbox_id", Uuid),
    Column("received_at", _TIME, nullable=False, server_default=_NOW),
    Column("job_id", Uuid),
    Column("result", Text, nullable=False),
    PrimaryKeyConstraint("outbox_id", name="command_receipts_pkey"),
    CheckConstraint(
        "result IN ('replaced', 'kept_first', 'skipped_as_duplicate', 'ignored_as_older', "
        "'removed', 'nothing_to_remove')",
        name="command_receipts_result_check",
    ),
    Index("command_receipts_received_idx", "received_at"),
)

WORKER_LEASES = Table(
    "worker_leases",
    METADATA,
    Column("worker_id", Uuid),
    Column("started_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at", _TIME, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", Text, nullable=False),
    PrimaryKeyConstraint("worker_id", name="worker_leases_pkey"),
)

QUEUES = Table(
    "queues",
    METADATA,
    Column("name", Text),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("paused_at", _TIME),
    Column("max_running", Integer),
    PrimaryKeyConstraint("name", name="queues_pkey"),
    CheckConstraint("max_running >= 1", name="queues_max_running_check"),
    CheckConstraint("length(name) BETWEEN 1 AND 128", name="queues_name_check"),
)

RATE_LIMITS = Table(
    "rate_limits",
    METADATA,
    Column("key", Text),
    Column("arrival_at", _TIME, nullable=False),
    PrimaryKeyConstraint("key", name="rate_limits_pkey"),
)

AUDIT_ENTRIES = Table(
    "audit_entries",
    METADATA,
    Column("id", Uuid),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("queued_job_id", Uuid),
    Column("environment_id", Uuid),
    Column("action", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("caller_name", Text, nullable=False),
    Column("caller_key_id", Text, nullable=False),
    Column("reason", Text),
    Column("queue", Text),
    Column("kind", Text),
    Column("redrive_id", Uuid),
    Column("former_args", JSONB),
    Column("periodic_job", Text),
    Column("max_running", Integer),
    PrimaryKeyConstraint("id", name="audit_entries_pkey"),
    CheckConstraint(
        "action IN ('retry', 'edit', 'cancel', 'delete', 'pause', 'resume', 'redrive', "
        "'cancel_redrive', 'limit', 'run')",
        name="audit_entries_action_check",
    ),
    Index(
        "audit_entries_queued_job_idx",
        "queued_job_id",
        postgresql_where=text("queued_job_id IS NOT NULL"),
    ),
    Index("audit_entries_environment_idx", "environment_id", "id"),
)

REDRIVES = Table(
    "redrives",
    METADATA,
    Column("id", Uuid),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("next_at", _TIME, nullable=False, server_default=_NOW),
    Column("ended_at", _TIME),
    Column("total_count", BigInteger, nullable=False),
    Column("redriven_count", BigInteger, nullable=False, server_default=text("0")),
    Column("skipped_count", BigInteger, nullable=False, server_default=text("0")),
    Column("environment_id", Uuid),
    Column("last_job_id", Uuid),
    Column("jobs_per_second", Integer, nullable=False),
    Column("cancelled", Boolean, nullable=False, server_default=text("false")),
    Column("filter", Text, nullable=False),
    Column("caller_name", Text, nullable=False),
    Column("reason", Text),
    Column("edit_due_at", _TIME),
    Column("refused_count", BigInteger, nullable=False, server_default=text("0")),
    Column("args", JSONB),
    Column("args_patch", JSONB),
    Column("caller", Text),
    Column("caller_key_id", Text),
    PrimaryKeyConstraint("id", name="redrives_pkey"),
    CheckConstraint(
        "num_nonnulls(args, args_patch) = num_nonnulls(edit_due_at)", name="redrives_edit_check"
    ),
    CheckConstraint("jobs_per_second BETWEEN 1 AND 1000", name="redrives_rate_check"),
    CheckConstraint("NOT cancelled OR ended_at IS NOT NULL", name="redrives_cancelled_check"),
    Index("redrives_unfinished_idx", "next_at", postgresql_where=text("ended_at IS NULL")),
)

DUTIES = Table(
    "duties",
    METADATA,
    Column("name", Text),
    Column("next_at", _TIME, nullable=False),
    PrimaryKeyConstraint("name", name="duties_pkey"),
)

PERIODIC_JOBS = Table(
    "periodic_jobs",
    METADATA,
    Column("name", Text),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("next_at", _TIME, nullable=False),
    Column("last_at", _TIME),
    Column("paused_at", _TIME),
    Column("last_job_id", Uuid),
    Column("unique_key", Uuid),
    Column("unique_for", BigInteger),
    Column("max_attempts", Integer, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("unique_states", SmallInteger),
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("args", JSONB, nullable=False),
    Column("limits", JSONB),
    PrimaryKeyConstraint("name", name="periodic_jobs_pkey"),
    CheckConstraint("length(name) BETWEEN 1 AND 200", name="periodic_jobs_name_check"),
)
