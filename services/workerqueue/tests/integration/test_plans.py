"""The hot statements read few rows, however large the table is.

Their plans are made while the table is empty, as on a new system, and must serve when it is not.
"""

from datetime import timedelta

from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.ids import new_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.testing.plans import Statement, entries_read
from kongflow_workerqueue.adapters import (
    edited_letters,
    ledger_admission,
    ledger_keys,
    ledger_maintenance,
    ledger_worker,
    purges,
    queue_reader,
    suspicion_rows,
)
from kongflow_workerqueue.adapters.job_rows import (
    INSERT_NEW_JOBS,
    NEW_JOBS,
    entry_rows,
    new_job_row,
)
from kongflow_workerqueue.adapters.queued_job_reader import PostgresQueuedJobReader
from kongflow_workerqueue.application.queries import FILTER_FIELDS
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

ROWS = 30_000
WORKER = new_id()
ENVIRONMENT = new_id()

FILL = f"""
INSERT INTO workerqueue.queued_jobs (
    id, kind, args, queue, priority, max_attempts, unique_key, state, run_at, finalized_at,
    admitted_at, waiting_for, worker_id, environment_id)
SELECT gen_random_uuid(), 'deliverEvent', '{{"eventRecordId": "x"}}', 'events', 1 + n % 4, 6,
       gen_random_uuid(), state, now() - interval '1 day' + n * interval '1 second',
       CASE WHEN state IN ('completed', 'discarded') THEN now() END,
       CASE WHEN state = 'available' AND n % 500 = 0 THEN now() END,
       CASE WHEN state = 'scheduled' THEN 'target:events' END,
       CASE WHEN state = 'running' THEN gen_random_uuid() END,
       CASE WHEN n % 3000 = 1 THEN '{ENVIRONMENT}'::uuid END
FROM (SELECT n, (ARRAY['available', 'scheduled', 'running', 'completed', 'discarded',
                       'completed'])[1 + n % 6] AS state
      FROM generate_series(1, {ROWS}) AS g(n)) AS rows
"""


def statements() -> dict[str, Statement]:
    """What enqueues, admits, claims, completes and looks after jobs."""
    return {
        "insert": (
            INSERT_NEW_JOBS,
            {
                **NEW_JOBS.bind([new_job_row(new_job())]),
                "admit_to": array_parameter("text", ["events"]),
            },
        ),
        "find same": (ledger_keys._FIND_SAME, {"unique_key": new_id()}),
        "replace holders": (
            ledger_keys._REPLACE_HOLDERS,
            {
                **NEW_JOBS.bind([new_job_row(new_job(job_key="k", unique_key=new_id()))]),
                "admit_to": array_parameter("text", ["events"]),
            },
        ),
        "skip duplicates": (
            ledger_keys._SKIP_DUPLICATES,
            dict(ledger_keys._DUPLICATES.bind([(new_id(), new_id())])),
        ),
        "give up place": (
            ledger_keys._GIVE_UP_PLACE,
            {"id": new_id(), "unique_key": new_id()},
        ),
        "claim": (
            ledger_worker._CLAIM,
            {**entry_rows([(new_id(), 1)]), "worker_id": WORKER, "available": "available"},
        ),
        "claim available": (
            ledger_worker._CLAIM_AVAILABLE,
            {"worker_id": WORKER, "queue": "events", "limit": 20},
        ),
        "claim waiting": (
            ledger_worker._CLAIM_WAITING,
            {"worker_id": WORKER, "queue": "events", "limit": 20},
        ),
        "queues with waiting": (
            ledger_worker.QUEUES_WITH_WAITING,
            {"queues": array_parameter("text", ["events", "default"])},
        ),
        "complete": (
            ledger_worker._COMPLETE,
            {**entry_rows([(new_id(), 1)]), "running": "running"},
        ),
        "hand back": (
            ledger_worker._HAND_BACK,
            {**entry_rows([(new_id(), 1)]), "worker_id": WORKER, "running": "running"},
        ),
        "withdraw": (ledger_admission.WITHDRAW, entry_rows([(new_id(), 1)])),
        "throughput": (
            queue_reader._THROUGHPUT,
            {"queue": "events", "within": timedelta()},
        ),
        **edits(),
        **upkeep(),
    }


def edits() -> dict[str, Statement]:
    """What redrives dead letters with other arguments."""
    return {
        "lock dead letters": (
            edited_letters._LOCK,
            {"ids": array_parameter("uuid", [new_id()]), "discarded": "discarded"},
        ),
        "edit dead letters": (
            edited_letters._MAKE_AVAILABLE,
            {
                **edited_letters._EDITED.bind([(new_id(), b"{}", None, None, None, None, None)]),
                "ids": array_parameter("uuid", [new_id()]),
                "discarded": "discarded",
            },
        ),
    }


def upkeep() -> dict[str, Statement]:
    """What makes due, takes back, releases, runs suspects and prunes."""
    return {
        "make due": (ledger_maintenance._MAKE_DUE, {"limit": 20}),
        "next due": (ledger_maintenance._NEXT_DUE, {}),
        "take back": (ledger_maintenance._TAKE_BACK_ORPHANS, {"limit": 20}),
        "release": (
            ledger_maintenance._RELEASE_ALL,
            {"waiting_for": "target:events", "limit": 20},
        ),
        **{
            f"prune {state}": (prune, {"age": timedelta(days=1), "limit": 20})
            for state, prune in ledger_maintenance._PRUNE.items()
        },
        "purge": (purges.OF_ENVIRONMENT[0], {"owner_id": ENVIRONMENT, "limit": 20}),
        "suspected": (suspicion_rows.SUSPECTED, {}),
        "claim suspects": (
            suspicion_rows.CLAIM_SUSPECTS,
            {
                "worker_id": WORKER,
                "waiting_for": "alone:events",
                "quiet": timedelta(),
                "alone": timedelta(),
                "limit": 20,
            },
        ),
    }


async def test_plans_made_for_an_empty_table_serve_a_large_one(ledger: LedgerUnderTest) -> None:
    # Without a lease a claim need not look at any job.
    await ledger.worker.register_worker(WORKER, host="test", pid=3)
    read = await entries_read(ledger.database, "workerqueue", statements, fill=[FILL])
    assert {name: count for name, count in read.items() if count > 100} == {}, read
    assert read["claim waiting"] >= 20, "the statistics count nothing"


LIST_FILTERS = {
    "everything": "",
    "state": "state = DISCARDED",
    "state, none": "state = CANCELLED",
    "kind": "kind = seldom",
    "queue": "queue = seldom",
    "state, kind": "state = DISCARDED AND kind = seldom",
    "time, newest": 'create_time > "2026-01-02T00:00:00Z"',
    "time, old": 'create_time < "2025-12-31T00:00:00Z"',
    "state, queue, time": (
        'state = COMPLETED AND queue = events AND create_time < "2026-01-01T03:00:00Z"'
    ),
}
LIST_FILL = f"""
INSERT INTO workerqueue.queued_jobs (
    id, kind, args, queue, priority, max_attempts, state, run_at, created_at, finalized_at)
SELECT gen_random_uuid(), CASE WHEN n % 10000 = 7 THEN 'seldom' ELSE 'deliverEvent' END, '{{}}',
       CASE WHEN n % 10000 = 8 THEN 'seldom' ELSE 'events' END, 2, 6, state, now(),
       '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second',
       CASE WHEN state IN ('completed', 'discarded') THEN now() END
FROM (SELECT n, CASE WHEN n % 1000 = 5 THEN 'discarded' WHEN n % 1000 = 6 THEN 'retryable'
                     WHEN n > {ROWS} - 1000 THEN 'available' ELSE 'completed' END AS state
      FROM generate_series(1, {ROWS}) AS g(n)) AS rows
"""


async def test_lists_by_state_kind_queue_and_time_read_what_they_show(
    ledger: LedgerUnderTest,
) -> None:
    reader = PostgresQueuedJobReader(ledger.database)
    await ledger.execute("ALTER TABLE workerqueue.queued_jobs SET (autovacuum_enabled = off)")
    await ledger.execute(LIST_FILL.replace("%", "%%"))
    read = {}
    for name, text in LIST_FILTERS.items():
        condition = parse_filter(text, FILTER_FIELDS)
        before = await entries_so_far(ledger)
        await reader.page(None, condition, after=None, limit=50)
        read[name] = await entries_so_far(ledger) - before
    await ledger.execute("ALTER TABLE workerqueue.queued_jobs RESET (autovacuum_enabled)")
    # A group or two more are looked into than are shown, and each row is read by its id.
    assert {name: count for name, count in read.items() if count > 400} == {}, read
    assert read["everything"] >= 50, "the statistics count nothing"


async def entries_so_far(ledger: LedgerUnderTest) -> int:
    """Entries of indexes and rows of whole tables that have been read of all queued jobs."""
    async with ledger.database.reading() as connection:
        # Those of this connection; the pool has more, which tell on their own when they end.
        await connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    rows = await ledger.execute(
        """SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
                   WHERE relname = 'queued_jobs')
                + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'queued_jobs')"""
    )
    return int(rows[0][0])
