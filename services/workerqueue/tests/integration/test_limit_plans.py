"""What is admitted under limits reads few rows for each lane, however many wait.

The plans of the functions' statements are made while there is nothing or next to nothing, as on a
new system, and must serve when thousands of lanes wait for their limits.
"""

from collections.abc import Sequence
from hashlib import md5
from uuid import UUID

import pytest

from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.testing.plans import Statement, entries_read
from kongflow_workerqueue.adapters import ledger_admission, ledger_worker
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest

ALL = UUID(int=0)
LANES_A_SWEEP = 500
MOST_OF_A_QUEUE = 10


def lanes_of(first: int, last: int, *, arrival: str = "now() + interval '1 day'") -> list[str]:
    """Jobs without limits, and waiting lanes of each kind of limit, numbered from first to last.

    The lanes of serial keys have a job that runs or waits for its next attempt; five of those that
    share a concurrency key run, and those of a rate have no start before tomorrow.
    """
    return [
        f"""
        INSERT INTO workerqueue.queued_jobs (
            id, kind, args, queue, priority, max_attempts, state, run_at, finalized_at,
            admitted_at, worker_id)
        SELECT gen_random_uuid(), 'deliverEvent', '{{}}', queue, 1 + n % 4, 6, state,
               now() - interval '1 day' + n * interval '1 second',
               CASE WHEN state = 'completed' THEN now() END,
               CASE WHEN state = 'available' AND n % 200 = 2 THEN now() END,
               CASE WHEN state = 'running' THEN gen_random_uuid() END
        FROM (SELECT n, CASE n % 3 WHEN 0 THEN 'completed' ELSE 'available' END AS state,
                     CASE n % 2 WHEN 0 THEN 'events' ELSE 'capped' END AS queue
              FROM generate_series({first}, {6 * last}) AS g(n)) AS rows""",
        f"""
        INSERT INTO workerqueue.queued_jobs (
            id, kind, args, queue, priority, max_attempts, state, run_at, limit_lane, serial_key,
            concurrency_key, max_running, rate_key, rate_interval, rate_burst,
            worker_id, attempted_at, admitted_at)
        SELECT gen_random_uuid(), 'deliverEvent', '{{}}', 'events', 2, 6,
               CASE WHEN holds AND lane <= 200 THEN 'running' WHEN holds THEN 'retryable'
                    ELSE 'available' END,
               now() - interval '1 day' + (lane + job) * interval '1 second',
               md5(kind || lane)::uuid,
               CASE WHEN kind <> 'rate' THEN kind || lane END,
               CASE WHEN kind = 'shared' THEN 'shared' END,
               CASE WHEN kind = 'shared' THEN 5 END,
               CASE WHEN kind = 'rate' THEN kind || lane END,
               CASE WHEN kind = 'rate' THEN 1000000 END, CASE WHEN kind = 'rate' THEN 1 END,
               CASE WHEN holds AND lane <= 200 THEN gen_random_uuid() END,
               CASE WHEN holds THEN now() END,
               CASE WHEN kind = 'rate' AND job = 1 AND lane % 500 = 1 THEN now() END
        FROM (SELECT kind, lane, job,
                     job = 1 AND (kind = 'serial' OR kind = 'shared' AND lane <= 5) AS holds
              FROM unnest(ARRAY['serial', 'shared', 'rate']) AS kinds(kind),
                   generate_series({first}, {last}) AS lanes(lane),
                   generate_series(1, 3) AS jobs(job)) AS rows""",
        f"""
        INSERT INTO workerqueue.rate_limits (key, arrival_at)
        SELECT 'rate' || lane, {arrival} FROM generate_series({first}, {last}) AS lanes(lane)""",
    ]


def rated(first: int, last: int) -> str:
    """Admitted jobs with numbers as ids, each of a rate of its own that lets it begin."""
    return f"""
    INSERT INTO workerqueue.queued_jobs (
        id, kind, args, queue, priority, max_attempts, state, run_at, admitted_at, limit_lane,
        rate_key, rate_interval, rate_burst)
    SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 'deliverEvent', '{{}}',
           'rated', 2, 6, 'available', now(), now(), md5('granted' || n)::uuid, 'granted' || n,
           1000000, 1
    FROM generate_series({first}, {last}) AS g(n)"""


FEW = [
    f"""INSERT INTO workerqueue.queues (name, max_running) VALUES ('capped', {MOST_OF_A_QUEUE})
        ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running""",
    *lanes_of(1, 7, arrival="now() - interval '1 day'"),
    # One that can be admitted, so that all is planned which that takes.
    "DELETE FROM workerqueue.queued_jobs WHERE serial_key = 'serial1' AND state = 'running'",
    rated(1, 1),
]
"""What there is when the plans are made."""

IDS = [UUID(int=n) for n in range(1, 21)]
LONG = [
    """
    INSERT INTO workerqueue.queued_jobs (
        id, kind, args, queue, priority, max_attempts, state, run_at, limit_lane, serial_key)
    SELECT gen_random_uuid(), 'deliverEvent', '{}', 'long', 2, 6, 'available', now(),
           md5('line')::uuid, 'line'
    FROM generate_series(1, 20000)""",
    """
    INSERT INTO workerqueue.queued_jobs (
        id, kind, args, queue, priority, max_attempts, state, run_at, limit_lane,
        concurrency_key, max_running)
    SELECT gen_random_uuid(), 'deliverEvent', '{}', 'long', 2, 6, 'available', now(),
           md5('wide')::uuid, 'wide', 50
    FROM generate_series(1, 20000)""",
]
"""Lanes in which many jobs wait."""

MANY = [
    *lanes_of(8, 5_000),
    *LONG,
    rated(2, 20),
]


def _admission(lanes: dict[str, str | None], *, sweep: bool = False) -> Statement:
    return ledger_admission.ADMIT_LIMITED, {
        "lanes": array_parameter("uuid", [_lane(name) for name in lanes]),
        "keys": array_parameter("text", list(lanes.values())),
        "after": ALL if sweep else None,
        "many": LANES_A_SWEEP,
        "share": 100,
    }


def _lane(name: str) -> UUID:
    return UUID(bytes=md5(name.encode()).digest())


def statements() -> dict[str, Statement]:
    """What admits under limits."""
    return {
        "lane, serial": _admission({"serial5": None}),
        "lane, key": _admission({"shared6": "shared"}),
        "lane, rate": _admission({"rate5": None}),
        "long line": _admission({"line": None}),
        "long lane": _admission({"wide": "wide"}),
        "sweep": _admission({}, sweep=True),
        "claim waiting": (
            ledger_worker._CLAIM_WAITING,
            {"worker_id": ALL, "queue": "capped", "limit": 20},
        ),
        "grant": (
            ledger_worker._CLAIM_RATED,
            {
                "ids": array_parameter("uuid", IDS),
                "turns": array_parameter("bigint", [1] * len(IDS)),
                "worker_id": ALL,
            },
        ),
    }


ANALYZE = "ANALYZE workerqueue.queued_jobs"
BOUNDS = {
    "lane, serial": 20,
    # The 128 lanes that share it are looked into.
    "lane, key": 128 * 12,
    "lane, rate": 50,
    "long line": 20,
    # All that its limit takes are admitted.
    "long lane": 300,
    "sweep": LANES_A_SWEEP * 10,
    # What runs is counted.
    "claim waiting": 300,
    "grant": 100,
}


@pytest.mark.parametrize(
    ("planned_after", "fill"),
    [
        pytest.param([], [*FEW, *MANY], id="nothing"),
        pytest.param(FEW, MANY, id="few jobs"),
        pytest.param([*FEW, ANALYZE], MANY, id="few jobs that statistics know"),
    ],
)
async def test_plans_made_early_serve_thousands_of_lanes(
    ledger: LedgerUnderTest, planned_after: Sequence[str], fill: Sequence[str]
) -> None:
    await ledger.worker.register_worker(ALL, host="test", pid=3)
    read = await entries_read(
        ledger.database, "workerqueue", statements, fill=fill, planned_after=planned_after
    )
    assert {name: count for name, count in read.items() if count > BOUNDS[name]} == {}, read
    assert read["sweep"] >= LANES_A_SWEEP, "the statistics count nothing"
