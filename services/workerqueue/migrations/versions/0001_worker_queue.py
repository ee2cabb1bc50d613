"""The ledger of queued jobs, the queues, the workers' leases and the receipts of commands."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Every index on queued_jobs is written at each of the three versions that a job's row has
# (stored, running, ended) unless its predicate leaves that version out: a predicate is worth
# more here than a second way to find a row.
_UPGRADE = """
CREATE SCHEMA IF NOT EXISTS workerqueue;

CREATE TABLE workerqueue.queued_jobs (
    -- The id of the outbox row that brought the job: the primary key recognises a repeat.
    id uuid NOT NULL,
    -- Fixed-width columns first: no padding between them.
    turn bigint NOT NULL DEFAULT 1,
    run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempted_at timestamptz,
    finalized_at timestamptz,
    -- When the job was put in its queue's window; only while it is available.
    admitted_at timestamptz,
    generation bigint NOT NULL DEFAULT 0,
    -- Attempts spent.
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    -- Leases that ended while the job ran under them.
    lapses integer NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    worker_id uuid,
    environment_id uuid,
    -- A digest, in the type that PostgreSQL compares in 16 bytes without a length word.
    unique_key uuid,
    state text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    job_key text,
    waiting_for text,
    traceparent text,
    args jsonb NOT NULL,
    metadata jsonb,
    tags text[],
    -- An array, oldest first, at most 20 long; null while nothing has failed.
    errors jsonb,
    CONSTRAINT queued_jobs_pkey PRIMARY KEY (id),
    CONSTRAINT queued_jobs_state_check CHECK (
        state IN ('available', 'scheduled', 'running', 'retryable',
                  'completed', 'cancelled', 'discarded')
    ),
    -- The retention deletes by finalized_at: a job without one would be kept for ever, an
    -- unfinished one with one would be lost.
    CONSTRAINT queued_jobs_finalized_check CHECK (
        (finalized_at IS NOT NULL) = (state IN ('completed', 'cancelled', 'discarded'))
    ),
    -- A running job that nobody runs would never be taken back.
    CONSTRAINT queued_jobs_worker_check CHECK ((worker_id IS NOT NULL) = (state = 'running')),
    -- Only an available job can stand in the window.
    CONSTRAINT queued_jobs_admitted_check CHECK (admitted_at IS NULL OR state = 'available'),
    CONSTRAINT queued_jobs_turn_check CHECK (turn >= 1),
    CONSTRAINT queued_jobs_priority_check CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT queued_jobs_attempt_check CHECK (attempt BETWEEN 0 AND max_attempts),
    CONSTRAINT queued_jobs_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 1000),
    CONSTRAINT queued_jobs_args_check CHECK (jsonb_typeof(args) = 'object'),
    CONSTRAINT queued_jobs_kind_check CHECK (length(kind) BETWEEN 1 AND 200),
    CONSTRAINT queued_jobs_queue_check CHECK (length(queue) BETWEEN 1 AND 128),
    CONSTRAINT queued_jobs_job_key_check CHECK (length(job_key) BETWEEN 1 AND 512)
);

-- One unfinished job holds a key. Jobs above environments share one room, hence no distinct nulls.
CREATE UNIQUE INDEX queued_jobs_job_key_key
    ON workerqueue.queued_jobs (job_key, kind, environment_id) NULLS NOT DISTINCT
    WHERE job_key IS NOT NULL AND state IN ('available', 'scheduled', 'retryable', 'running');

-- One unfinished job of those that count as the same.
CREATE UNIQUE INDEX queued_jobs_unique_key_key
    ON workerqueue.queued_jobs (unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('available', 'scheduled', 'retryable', 'running');

-- The order in which the queue admits. Admitted jobs are left out: the backlog's head is not
-- covered by what stands in the window already.
CREATE INDEX queued_jobs_admission_idx
    ON workerqueue.queued_jobs (queue, priority, run_at, id)
    WHERE state = 'available' AND admitted_at IS NULL;

-- What stands, or stood before it was lost, in a window: small, as the window is.
CREATE INDEX queued_jobs_admitted_idx
    ON workerqueue.queued_jobs (queue, admitted_at)
    WHERE state = 'available' AND admitted_at IS NOT NULL;

CREATE INDEX queued_jobs_due_idx
    ON workerqueue.queued_jobs (run_at)
    WHERE state IN ('scheduled', 'retryable');

CREATE INDEX queued_jobs_waiting_idx
    ON workerqueue.queued_jobs (waiting_for, kind)
    WHERE waiting_for IS NOT NULL AND state = 'scheduled';

CREATE INDEX queued_jobs_running_idx
    ON workerqueue.queued_jobs (worker_id)
    WHERE state = 'running';

CREATE INDEX queued_jobs_retention_idx
    ON workerqueue.queued_jobs (finalized_at)
    WHERE state IN ('completed', 'cancelled');

-- Dead letters are kept longer: the retention must not wade through them each time.
CREATE INDEX queued_jobs_discarded_idx
    ON workerqueue.queued_jobs (finalized_at)
    WHERE state = 'discarded';

-- Operators look for what went wrong among millions that went well.
CREATE INDEX queued_jobs_failed_idx
    ON workerqueue.queued_jobs (state, id)
    WHERE state IN ('retryable', 'discarded');

-- Lists are bounded by an environment and read newest first: ids grow with time.
CREATE INDEX queued_jobs_environment_idx
    ON workerqueue.queued_jobs (environment_id, id);

-- Each job leaves two dead versions behind. Vacuum by the number of them, not by a fifth of the
-- history that is kept; without the pauses that are made for big tables' sake.
ALTER TABLE workerqueue.queued_jobs SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_analyze_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);

-- What became of commands that left no job of their own id: a repeat is answered from here.
CREATE TABLE workerqueue.command_receipts (
    outbox_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    -- The job that was replaced, kept or removed. No foreign key: the job may be pruned first.
    job_id uuid,
    result text NOT NULL,
    CONSTRAINT command_receipts_pkey PRIMARY KEY (outbox_id),
    CONSTRAINT command_receipts_result_check CHECK (
        result IN ('replaced', 'kept_first', 'skipped_as_duplicate', 'ignored_as_older',
                   'removed', 'nothing_to_remove')
    )
);

CREATE INDEX command_receipts_received_idx ON workerqueue.command_receipts (received_at);

CREATE TABLE workerqueue.worker_leases (
    worker_id uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    pid integer NOT NULL,
    host text NOT NULL,
    CONSTRAINT worker_leases_pkey PRIMARY KEY (worker_id)
);

CREATE TABLE workerqueue.queues (
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz,
    CONSTRAINT queues_pkey PRIMARY KEY (name),
    CONSTRAINT queues_name_check CHECK (length(name) BETWEEN 1 AND 128)
);

INSERT INTO workerqueue.queues (name)
VALUES ('default'), ('execution'), ('events'), ('maintenance');

-- When a maintenance duty is next due: whoever moves it on does the duty.
CREATE TABLE workerqueue.duties (
    name text NOT NULL,
    next_at timestamptz NOT NULL,
    CONSTRAINT duties_pkey PRIMARY KEY (name)
);
"""

_DOWNGRADE = """
DROP TABLE workerqueue.duties;
DROP TABLE workerqueue.queues;
DROP TABLE workerqueue.worker_leases;
DROP TABLE workerqueue.command_receipts;
DROP TABLE workerqueue.queued_jobs;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
