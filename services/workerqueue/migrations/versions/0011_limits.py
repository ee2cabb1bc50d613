"""Ageing, and limits: serial keys, concurrency and rate limits by key, running jobs of a queue.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Each step may be taken again: what stands before an autocommit block stays if one fails.
_COLUMNS = """
ALTER TABLE workerqueue.queues ADD COLUMN IF NOT EXISTS max_running integer
    CONSTRAINT queues_max_running_check CHECK (max_running >= 1);

-- The limits of each of its jobs.
ALTER TABLE workerqueue.periodic_jobs ADD COLUMN IF NOT EXISTS limits jsonb;

ALTER TABLE workerqueue.queued_jobs
    -- The line it stands in; null for the jobs without limits.
    ADD COLUMN IF NOT EXISTS limit_lane uuid,
    ADD COLUMN IF NOT EXISTS serial_key text,
    ADD COLUMN IF NOT EXISTS concurrency_key text,
    ADD COLUMN IF NOT EXISTS max_running integer,
    ADD COLUMN IF NOT EXISTS rate_key text,
    -- In microseconds.
    ADD COLUMN IF NOT EXISTS rate_interval bigint,
    ADD COLUMN IF NOT EXISTS rate_burst integer,
    DROP CONSTRAINT IF EXISTS queued_jobs_limit_check,
    ADD CONSTRAINT queued_jobs_limit_check CHECK (
        (limit_lane IS NOT NULL) = (coalesce(serial_key, concurrency_key, rate_key) IS NOT NULL)
        AND (concurrency_key IS NOT NULL) = (max_running IS NOT NULL)
        AND (rate_key IS NOT NULL) = (rate_interval IS NOT NULL)
        AND (rate_key IS NOT NULL) = (rate_burst IS NOT NULL)
        AND max_running >= 1 AND rate_interval >= 1 AND rate_burst >= 1
    ) NOT VALID;
ALTER TABLE workerqueue.queued_jobs VALIDATE CONSTRAINT queued_jobs_limit_check;

-- Until when the starts that were granted to a key reach: GCRA's theoretical arrival time. A row
-- whose time has passed says as much as none.
CREATE TABLE IF NOT EXISTS workerqueue.rate_limits (
    key text NOT NULL,
    arrival_at timestamptz NOT NULL,
    CONSTRAINT rate_limits_pkey PRIMARY KEY (key)
);
"""

# Each step of priority is worth half a minute: so low ones age.
_EFFECTIVE_AT = "((run_at AT TIME ZONE 'UTC') + (priority - 1) * interval '30 seconds')"

_ADMISSION = f"""(
    queue, coalesce(environment_id, '00000000-0000-0000-0000-000000000000'::uuid), {_EFFECTIVE_AT},
    id
) WHERE state = 'available' AND admitted_at IS NULL AND limit_lane IS NULL"""
_ADMISSION_BEFORE = """(queue, priority, run_at, id)
    WHERE state = 'available' AND admitted_at IS NULL"""

# None of them holds a job without limits: those pay for a predicate.
_INDEXES = {
    "queued_jobs_lane_idx": f"""(limit_lane, {_EFFECTIVE_AT}, id)
        WHERE limit_lane IS NOT NULL AND state = 'available' AND admitted_at IS NULL""",
    "queued_jobs_limited_due_idx": """(run_at)
        WHERE limit_lane IS NOT NULL AND state = 'available' AND admitted_at IS NULL""",
    "queued_jobs_concurrency_lane_idx": """(concurrency_key, limit_lane)
        WHERE concurrency_key IS NOT NULL AND state = 'available' AND admitted_at IS NULL""",
    "queued_jobs_concurrency_idx": """(concurrency_key)
        WHERE concurrency_key IS NOT NULL
          AND (state = 'running' OR state = 'available' AND admitted_at IS NOT NULL)""",
    "queued_jobs_serial_idx": """(
            serial_key,
            (CASE WHEN state = 'running' OR admitted_at IS NOT NULL THEN 0
                  WHEN attempted_at IS NOT NULL THEN 1 ELSE 2 END),
            run_at, id
        ) WHERE serial_key IS NOT NULL
            AND (state IN ('available', 'running')
                 OR state IN ('scheduled', 'retryable') AND attempted_at IS NOT NULL)""",
    "queued_jobs_limited_window_idx": """(queue, rate_key)
        WHERE limit_lane IS NOT NULL AND state = 'available' AND admitted_at IS NOT NULL""",
    "queued_jobs_rate_idx": """(rate_key)
        WHERE rate_key IS NOT NULL AND state = 'available' AND admitted_at IS NOT NULL""",
}

# Whoever admits under a limit holds this lock to the end of the transaction, which is one
# statement: what it counts then is all that has been admitted. Counting is what keeps a limit:
# no crash leaves a number behind that is wrong.
_LOCK = """
CREATE OR REPLACE FUNCTION workerqueue.lock_limits() RETURNS void LANGUAGE sql AS
$$ SELECT pg_advisory_xact_lock(7521963884112073) $$;
"""

_QUEUE_ROOM = """
CREATE OR REPLACE FUNCTION workerqueue.queue_room(name text, wanted bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    most integer;
    used bigint;
BEGIN
    SELECT q.max_running INTO most FROM workerqueue.queues q WHERE q.name = queue_room.name;
    IF most IS NULL THEN
        RETURN wanted;
    END IF;
    PERFORM workerqueue.lock_limits();
    -- A statement of its own: it sees what others admitted before they gave the lock away.
    SELECT count(*) INTO used FROM (
        (SELECT FROM workerqueue.queued_jobs j
         WHERE j.queue = queue_room.name AND j.state = 'available' AND j.admitted_at IS NOT NULL
         LIMIT most)
        UNION ALL
        (SELECT FROM workerqueue.queued_jobs j
         WHERE j.queue = queue_room.name AND j.state = 'running'
         LIMIT most)) AS taken;
    RETURN least(wanted, greatest(most - used, 0));
END $$;
"""

_ADMIT_LIMITED = """
-- Admits the first jobs of lanes as far as their limits take them. The lanes are those given;
-- for each that is given with a concurrency key, up to 128 others that share the key; and with
-- `after`, the next `many` lanes of all, and those of jobs that have become due of late.
-- Gives back what was admitted; of lanes that wait for their rate, how long, in microseconds;
-- where a further sweep begins, as a row with the lane alone; and a row without anything when
-- lanes were left out because a window holds its share.
CREATE OR REPLACE FUNCTION workerqueue.admit_limited(
    lanes uuid[], keys text[], after uuid, many integer, share integer
) RETURNS TABLE (
    lane uuid, id uuid, turn bigint, queue text, priority smallint, run_at timestamptz,
    admitted_at timestamptz, wait bigint
) LANGUAGE plpgsql
-- Its plans are made once per connection, maybe while nothing waits: an index that is in order is
-- the one that serves when much does.
SET enable_sort = off SET enable_incremental_sort = off SET enable_seqscan = off
SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    swept uuid[];
    fresh uuid[];
    sharing uuid[];
    head record;
    job record;
    used bigint;
    unstarted bigint;
    arrival bigint;
    instant bigint;
    -- By queue: how many more of it may run, and how many may stand in its window.
    rooms jsonb := '{}';
    room bigint;
    window_room bigint;
    is_crowded boolean := false;
BEGIN
    -- The lock is not held for as long as a disk takes. An admission that a crash forgets is made
    -- again: no claim, which is written through, comes before it.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM workerqueue.lock_limits();
    IF after IS NOT NULL THEN
        WITH RECURSIVE walk AS (
            (SELECT w.limit_lane AS found, 1 AS place FROM workerqueue.queued_jobs w
             WHERE w.limit_lane > admit_limited.after AND w.state = 'available'
               AND w.admitted_at IS NULL
             ORDER BY w.limit_lane LIMIT 1)
            UNION ALL
            SELECT next.found, walk.place + 1 FROM walk CROSS JOIN LATERAL (
                SELECT w.limit_lane AS found FROM workerqueue.queued_jobs w
                WHERE w.limit_lane > walk.found AND w.state = 'available'
                  AND w.admitted_at IS NULL
                ORDER BY w.limit_lane LIMIT 1) AS next
            WHERE walk.place < admit_limited.many)
        SELECT array_agg(walk.found ORDER BY walk.found) INTO swept FROM walk;
        SELECT array_agg(DISTINCT due.limit_lane) INTO fresh FROM (
            SELECT w.limit_lane FROM workerqueue.queued_jobs w
            WHERE w.limit_lane IS NOT NULL AND w.state = 'available' AND w.admitted_at IS NULL
              AND w.run_at > now() - interval '10 seconds'
            ORDER BY w.run_at DESC LIMIT 300) AS due;
    END IF;
    IF keys IS NOT NULL THEN
        -- Round the lanes of each key, beginning behind the one that is given.
        WITH RECURSIVE walk AS (
            SELECT k.key, k.own, first.found, first.beyond, 1 AS place
            FROM unnest(admit_limited.keys, admit_limited.lanes) AS k(key, own)
            CROSS JOIN LATERAL (
                (SELECT w.limit_lane AS found, true AS beyond FROM workerqueue.queued_jobs w
                 WHERE w.concurrency_key = k.key AND w.limit_lane > k.own
                   AND w.state = 'available' AND w.admitted_at IS NULL
                 ORDER BY w.limit_lane LIMIT 1)
                UNION ALL
                (SELECT w.limit_lane, false FROM workerqueue.queued_jobs w
                 WHERE w.concurrency_key = k.key AND w.limit_lane < k.own
                   AND w.state = 'available' AND w.admitted_at IS NULL
                 ORDER BY w.limit_lane LIMIT 1)) AS first
            UNION ALL
            SELECT walk.key, walk.own, next.found, walk.beyond, walk.place + 1
            FROM walk CROSS JOIN LATERAL (
                SELECT w.limit_lane AS found FROM workerqueue.queued_jobs w
                WHERE w.concurrency_key = walk.key AND w.limit_lane > walk.found
                  AND w.state = 'available' AND w.admitted_at IS NULL
                ORDER BY w.limit_lane LIMIT 1) AS next
            WHERE walk.place < 64 AND (walk.beyond OR next.found < walk.own))
        SELECT array_agg(walk.found) INTO sharing FROM walk;
    END IF;
    FOR head IN
        SELECT DISTINCT l.lane, first.serial_key, first.effective_at
        FROM unnest(admit_limited.lanes || sharing || swept || fresh) AS l(lane)
        CROSS JOIN LATERAL (
            SELECT w.serial_key,
                   (w.run_at AT TIME ZONE 'UTC') + (w.priority - 1) * interval '30 seconds'
                       AS effective_at
            FROM workerqueue.queued_jobs w
            WHERE w.limit_lane = l.lane AND w.state = 'available' AND w.admitted_at IS NULL
            ORDER BY w.limit_lane,
                     (w.run_at AT TIME ZONE 'UTC') + (w.priority - 1) * interval '30 seconds',
                     w.id
            LIMIT 1) AS first
        ORDER BY first.effective_at, l.lane
    LOOP
        used := NULL;
        arrival := NULL;
        FOR job IN
            (SELECT w.* FROM workerqueue.queued_jobs w
             WHERE head.serial_key IS NULL
               AND w.limit_lane = head.lane AND w.state = 'available' AND w.admitted_at IS NULL
             ORDER BY w.limit_lane,
                      (w.run_at AT TIME ZONE 'UTC') + (w.priority - 1) * interval '30 seconds',
                      w.id)
            UNION ALL
            -- Of a serial key only the first: what runs, or else what has begun and waits for its
            -- next attempt, or else the first by run time.
            (SELECT w.* FROM workerqueue.queued_jobs w
             WHERE w.serial_key = head.serial_key
               AND (w.state IN ('available', 'running')
                    OR w.state IN ('scheduled', 'retryable') AND w.attempted_at IS NOT NULL)
             ORDER BY CASE WHEN w.state = 'running' OR w.admitted_at IS NOT NULL THEN 0
                           WHEN w.attempted_at IS NOT NULL THEN 1 ELSE 2 END,
                      w.run_at, w.id
             LIMIT 1)
        LOOP
            EXIT WHEN job.state <> 'available' OR job.admitted_at IS NOT NULL;
            IF NOT rooms ? job.queue THEN
                rooms := rooms || jsonb_build_object(job.queue, jsonb_build_array(
                    CASE WHEN EXISTS (SELECT FROM workerqueue.queues q
                                      WHERE q.name = job.queue AND q.paused_at IS NOT NULL)
                         THEN 0 ELSE workerqueue.queue_room(job.queue, share) END,
                    share - (SELECT count(*) FROM (
                        SELECT FROM workerqueue.queued_jobs w
                        WHERE w.queue = job.queue AND w.limit_lane IS NOT NULL
                          AND w.state = 'available' AND w.admitted_at IS NOT NULL
                        -- The order is that of the index which holds nothing else.
                        ORDER BY w.queue, w.rate_key
                        LIMIT share) AS standing)));
            END IF;
            room := (rooms->job.queue->0)::bigint;
            window_room := (rooms->job.queue->1)::bigint;
            EXIT WHEN room <= 0;
            IF job.concurrency_key IS NOT NULL THEN
                IF used IS NULL THEN
                    SELECT count(*) INTO used FROM workerqueue.queued_jobs w
                    WHERE w.concurrency_key = job.concurrency_key
                      AND (w.state = 'running'
                           OR w.state = 'available' AND w.admitted_at IS NOT NULL);
                END IF;
                EXIT WHEN used >= job.max_running;
            END IF;
            IF job.rate_key IS NOT NULL THEN
                IF arrival IS NULL THEN
                    SELECT coalesce(max((extract(epoch FROM r.arrival_at) * 1000000)::bigint), 0),
                           (SELECT count(*) FROM workerqueue.queued_jobs w
                            WHERE w.rate_key = job.rate_key AND w.state = 'available'
                              AND w.admitted_at IS NOT NULL)
                    INTO arrival, unstarted
                    FROM workerqueue.rate_limits r WHERE r.key = job.rate_key;
                    instant := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
                END IF;
                -- What is admitted and not begun has its start spoken for.
                wait := greatest(arrival, instant) - instant
                        + (unstarted - job.rate_burst + 1) * job.rate_interval;
                IF wait > 0 THEN
                    lane := head.lane;
                    id := NULL;
                    RETURN NEXT;
                    EXIT;
                END IF;
            END IF;
            IF window_room <= 0 THEN
                is_crowded := true;
                EXIT;
            END IF;
            -- By the id: what is asked as IS TRUE no other index answers.
            PERFORM FROM workerqueue.queued_jobs w
            WHERE w.id = job.id AND w.turn = job.turn
              AND (w.state = 'available' AND w.admitted_at IS NULL
                   AND w.limit_lane = head.lane) IS TRUE
            FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            UPDATE workerqueue.queued_jobs w SET admitted_at = clock_timestamp()
            WHERE w.id = job.id
            RETURNING w.limit_lane, w.id, w.turn, w.queue, w.priority, w.run_at, w.admitted_at
            INTO lane, id, turn, queue, priority, run_at, admitted_at;
            wait := NULL;
            RETURN NEXT;
            rooms := rooms || jsonb_build_object(
                job.queue, jsonb_build_array(room - 1, window_room - 1));
            used := used + 1;
            unstarted := unstarted + 1;
        END LOOP;
    END LOOP;
    IF cardinality(swept) = many THEN
        lane := swept[many];
        id := NULL;
        wait := NULL;
        RETURN NEXT;
    END IF;
    IF is_crowded THEN
        lane := NULL;
        id := NULL;
        wait := NULL;
        RETURN NEXT;
    END IF;
END $$;
"""

_GRANT_STARTS = """
-- Takes a start of its key's rate for each of the entries that may begin now, and gives those
-- back; the others are admitted again when it is their time.
CREATE OR REPLACE FUNCTION workerqueue.grant_starts(ids uuid[], turns bigint[])
RETURNS TABLE (granted uuid) LANGUAGE plpgsql AS $$
DECLARE
    job record;
    apart interval;
BEGIN
    FOR job IN
        SELECT j.id, j.rate_key, j.rate_interval, j.rate_burst
        FROM unnest(ids, turns) AS e(id, turn)
        JOIN workerqueue.queued_jobs j ON j.id = e.id AND j.turn = e.turn
        -- By the ids: what is asked as IS TRUE no other index answers.
        WHERE (j.state = 'available' AND j.admitted_at IS NOT NULL
               AND j.rate_key IS NOT NULL) IS TRUE
        -- By the key: two of these wait for each other, never both.
        ORDER BY j.rate_key, j.run_at, j.id
        FOR UPDATE OF j SKIP LOCKED
    LOOP
        apart := job.rate_interval * interval '1 microsecond';
        INSERT INTO workerqueue.rate_limits AS r (key, arrival_at)
        VALUES (job.rate_key, now() + apart)
        ON CONFLICT (key) DO UPDATE SET arrival_at = greatest(r.arrival_at, now()) + apart
        WHERE greatest(r.arrival_at, now()) <= now() + (job.rate_burst - 1) * apart;
        IF FOUND THEN
            granted := job.id;
            RETURN NEXT;
        ELSE
            UPDATE workerqueue.queued_jobs j SET admitted_at = NULL WHERE j.id = job.id;
        END IF;
    END LOOP;
END $$;
"""

_AUDIT = """
-- What a limit was set to; null when it was taken away.
ALTER TABLE workerqueue.audit_entries ADD COLUMN IF NOT EXISTS max_running integer;
ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
    action IN ('retry', 'edit', 'cancel', 'delete', 'pause', 'resume', 'redrive',
               'cancel_redrive', 'limit', 'run')
);
"""


def upgrade() -> None:
    op.execute(_COLUMNS)
    with op.get_context().autocommit_block():
        for name, columns in _INDEXES.items():
            _build(name, columns)
        _build("queued_jobs_admission_new", _ADMISSION)
    _admit_in_order_of("queued_jobs_admission_new")
    for part in (_LOCK, _QUEUE_ROOM, _ADMIT_LIMITED, _GRANT_STARTS, _AUDIT):
        op.execute(part)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _build("queued_jobs_admission_old", _ADMISSION_BEFORE)
    _admit_in_order_of("queued_jobs_admission_old")
    op.execute(
        """
        DELETE FROM workerqueue.audit_entries WHERE action = 'limit';
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'edit', 'cancel', 'delete', 'pause', 'resume', 'redrive',
                       'cancel_redrive', 'run')
        );
        ALTER TABLE workerqueue.audit_entries DROP COLUMN max_running;
        DROP FUNCTION workerqueue.grant_starts(uuid[], bigint[]);
        DROP FUNCTION workerqueue.admit_limited(uuid[], text[], uuid, integer, integer);
        DROP FUNCTION workerqueue.queue_room(text, bigint);
        DROP FUNCTION workerqueue.lock_limits();
        DROP TABLE workerqueue.rate_limits;
        -- Their indexes go with them.
        ALTER TABLE workerqueue.queued_jobs
            DROP COLUMN limit_lane, DROP COLUMN serial_key, DROP COLUMN concurrency_key,
            DROP COLUMN max_running, DROP COLUMN rate_key, DROP COLUMN rate_interval,
            DROP COLUMN rate_burst;
        ALTER TABLE workerqueue.queues DROP COLUMN max_running;
        ALTER TABLE workerqueue.periodic_jobs DROP COLUMN limits;
        """
    )


def _build(name: str, columns: str) -> None:
    """Build an index while jobs are written; one that a broken try left behind goes first."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS workerqueue.{name}")
    op.execute(f"CREATE INDEX CONCURRENTLY {name} ON workerqueue.queued_jobs {columns}")


def _admit_in_order_of(index: str) -> None:
    op.execute("DROP INDEX workerqueue.queued_jobs_admission_idx")
    op.execute(f"ALTER INDEX workerqueue.{index} RENAME TO queued_jobs_admission_idx")
