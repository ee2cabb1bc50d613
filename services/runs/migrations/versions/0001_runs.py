"""Runs, their numbers and the outbox.

Revision ID: 0001
Revises:
"""

from alembic import op

from kongflow_common.db.triggers import add_updated_at_trigger, create_updated_at_function
from kongflow_common.outbox.migration import create_outbox_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATES = (
    "PENDING",
    "QUEUED",
    "WAITING_ON_CONNECTIONS",
    "PREPROCESSING",
    "STARTED",
    "EXECUTING",
    "WAITING_TO_CONTINUE",
    "WAITING_TO_EXECUTE",
    "SUCCESS",
    "FAILURE",
    "TIMED_OUT",
    "ABORTED",
    "CANCELED",
    "UNRESOLVED_AUTH",
    "INVALID_PAYLOAD",
)


def upgrade() -> None:
    create_updated_at_function("runs")
    create_job_runs()
    add_updated_at_trigger("runs", "job_runs")
    create_job_counters()
    create_outbox_table("runs")


def create_job_runs() -> None:
    states = ", ".join(f"'{state}'" for state in STATES)
    op.execute(
        f"""
        CREATE TABLE runs.job_runs (
            id uuid CONSTRAINT job_runs_pkey PRIMARY KEY,
            number bigint,
            status text NOT NULL DEFAULT 'PENDING'
                CONSTRAINT job_runs_status_check CHECK (status IN ({states})),
            job_id uuid NOT NULL,
            version_alias text,
            version text,
            event_record_id uuid NOT NULL,
            dispatcher_id uuid,
            environment_id uuid NOT NULL,
            organization_id uuid NOT NULL,
            project_id uuid NOT NULL,
            external_account_id uuid,
            is_test boolean NOT NULL DEFAULT false,
            internal boolean NOT NULL DEFAULT false,
            queued_at timestamptz,
            started_at timestamptz,
            completed_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT job_runs_selector_check CHECK (num_nonnulls(version_alias, version) = 1)
        ) WITH (fillfactor = 80)
        """
    )
    # A run of an event is unique by what started it; test, invoke and re-run have no dispatcher.
    op.execute(
        """
        CREATE UNIQUE INDEX job_runs_event_record_id_dispatcher_id_job_id_key
            ON runs.job_runs (event_record_id, dispatcher_id, job_id)
            WHERE dispatcher_id IS NOT NULL
        """
    )
    op.execute(
        "CREATE INDEX job_runs_environment_id_created_at_idx"
        " ON runs.job_runs (environment_id, created_at, id)"
    )


def create_job_counters() -> None:
    # Keyed by the project too: a job belongs to one, and nobody's runs may count in another's.
    op.execute(
        """
        CREATE TABLE runs.job_counters (
            project_id uuid NOT NULL,
            job_id uuid NOT NULL,
            last_number bigint NOT NULL,
            CONSTRAINT job_counters_pkey PRIMARY KEY (project_id, job_id)
        ) WITH (fillfactor = 50)
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE runs.outbox")
    op.execute("DROP TABLE runs.job_counters")
    op.execute("DROP TABLE runs.job_runs")
    op.execute("DROP FUNCTION runs.update_updated_at_column()")
