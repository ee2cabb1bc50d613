"""`python -m bench.queue_lists`: how long pages of queued jobs take at 1,000,000 jobs.

It brings its own PostgreSQL, which is gone when it ends. `--jobs` and `--rounds` make it shorter.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from rich.console import Console
from rich.table import Table

from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.rpc.filtering import parse_filter
from kongflow_embedded.temporary import temporary_postgres
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.queued_job_reader import PostgresQueuedJobReader
from kongflow_workerqueue.adapters.queued_job_watcher import PostgresJobWatcher
from kongflow_workerqueue.application.ports import JobPlace
from kongflow_workerqueue.application.queries import FILTER_FIELDS
from kongflow_workerqueue.application.watch_queued_jobs import MAX_KNOWN, JobStamp, stamp_of

MIGRATIONS = Path(__file__).parents[1] / "services" / "workerqueue" / "migrations"
BAR_MS = 50.0
PAGE = 50
SPAN = timedelta(days=1)
RARE_ENVIRONMENT = UUID(int=7)

# A day's jobs of 40 kinds in 6 queues, most of them done; each statement's jobs have one time of
# creation, as those of one call have.
FILL = f"""
INSERT INTO workerqueue.queued_jobs (
    id, kind, args, queue, priority, max_attempts, environment_id, state, created_at, run_at,
    attempted_at, finalized_at, worker_id, errors, tags)
SELECT overlay(overlay(gen_random_uuid()::text placing
                   lpad(to_hex((extract(epoch FROM at) * 1000)::bigint >> 16), 8, '0') from 1 for 8)
               placing lpad(to_hex((extract(epoch FROM at) * 1000)::bigint & 65535), 4, '0')
               from 10 for 4)::uuid,
       kind, jsonb_build_object('event', jsonb_build_object('id', 'e' || n), 'revision', n %% 7),
       queue, 1 + n %% 4, 6,
       CASE WHEN n %% 50000 = 0 THEN '{RARE_ENVIRONMENT}'::uuid
            ELSE ('00000000-0000-4000-8000-' || lpad(to_hex(n %% 20), 12, '0'))::uuid END,
       state, at, at,
       CASE WHEN state <> 'available' THEN at END,
       CASE WHEN state IN ('completed', 'cancelled', 'discarded')
            THEN at + interval '2 seconds' END,
       CASE WHEN state = 'running' THEN gen_random_uuid() END,
       CASE WHEN state IN ('retryable', 'discarded') THEN
            jsonb_build_array(jsonb_build_object('attempt', 1, 'at', at, 'status',
                jsonb_build_object('code', 13, 'message', 'no'))) END,
       CASE WHEN n %% 100000 = 7 THEN ARRAY['seldom'] END
FROM (
    SELECT n, %(end)s::timestamptz - %(span)s::interval * (1 - (n / 100) * 100.0 / %(jobs)s) AS at,
           CASE WHEN n %% 250000 = 13 THEN 'seldom.kind'
                WHEN n %% 3 = 0 THEN 'deliverEvent'
                WHEN n %% 3 = 1 THEN 'events.invokeDispatcher'
                ELSE 'foreign.kind' || n %% 37 END AS kind,
           CASE WHEN n %% 200000 = 17 THEN 'seldom' WHEN n %% 3 < 2 THEN 'events'
                ELSE (ARRAY['default', 'execution', 'maintenance', 'own'])[1 + n %% 37 %% 4]
                END AS queue,
           CASE WHEN n %% 3000 = 3 AND n %% 3 = 0 THEN 'cancelled'
                WHEN n %% 1000 = 5 THEN 'discarded'
                WHEN n %% 1000 = 6 THEN 'retryable'
                WHEN n %% 10000 = 9 THEN 'running'
                WHEN n > %(jobs)s * 0.9 THEN 'available'
                ELSE 'completed' END AS state
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g(n)) AS made
"""


@dataclass(frozen=True)
class Figure:
    """How long the pages of a filter took."""

    label: str
    shown: int
    milliseconds: Sequence[float]

    @property
    def is_late(self) -> bool:
        """Whether half of them passed the bar: single ones are the machine's."""
        return statistics.median(self.milliseconds) > BAR_MS


def fill(url: str, jobs: int, end: datetime) -> None:
    """Stores jobs, without what autovacuum would do later."""
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(1, jobs + 1, 100_000):
            last = min(first + 99_999, jobs)
            parameters = {"end": end, "span": SPAN, "jobs": jobs, "first": first, "last": last}
            connection.execute(FILL, parameters)


def filters(end: datetime) -> dict[str, tuple[str, UUID | None]]:
    """What is asked for, by what the table calls it."""
    second = (end - timedelta(seconds=1)).isoformat()
    hour = (end - timedelta(hours=1)).isoformat()
    middle = (end - SPAN / 2).isoformat()
    states = ("COMPLETED", "AVAILABLE", "RUNNING", "RETRYABLE", "DISCARDED", "CANCELLED")
    asked: dict[str, str] = {"everything": ""}
    asked |= {f"state {state.lower()}": f"state = {state}" for state in states}
    asked |= {
        "state, one of two": "state = RETRYABLE OR state = DISCARDED",
        "state, all but one": "state != COMPLETED",
        "kind, common": "kind = deliverEvent",
        "kind, 4 jobs": "kind = seldom.kind",
        "kind, none": "kind = no.such",
        "queue, common": "queue = events",
        "queue, 5 jobs": "queue = seldom",
        "time, last second": f'create_time > "{second}"',
        "time, last hour": f'create_time > "{hour}"',
        "time, before the middle": f'create_time < "{middle}"',
        "state, kind": "state = DISCARDED AND kind = deliverEvent",
        "state, kind: none": "state = CANCELLED AND kind = events.invokeDispatcher",
        "state, queue": "state = COMPLETED AND queue = own",
        "state, time": f'state = COMPLETED AND create_time < "{middle}"',
        "state, time: none": f'state = COMPLETED AND create_time > "{hour}"',
        "kind, queue": "kind = foreign.kind3 AND queue = own",
        "kind, time": f'kind = deliverEvent AND create_time > "{hour}"',
        "queue, time": f'queue = own AND create_time < "{middle}"',
        "state, kind, queue": "state = RETRYABLE AND kind = foreign.kind3 AND queue = own",
        "state, kind, time": (
            f'state = DISCARDED AND kind = deliverEvent AND create_time > "{hour}"'
        ),
        "state, queue, time": f'state = DISCARDED AND queue = own AND create_time < "{middle}"',
        "kind, queue, time": f'kind = deliverEvent AND queue = events AND create_time < "{middle}"',
        "state, kind, queue, time": (
            f"state = COMPLETED AND kind = deliverEvent AND queue = events "
            f'AND create_time < "{middle}"'
        ),
        "priority": "priority = LOW",
        "tag, 10 jobs": "tag = seldom",
        "end_time, last second": f'end_time > "{second}"',
        "an argument": 'args.event.id = "e500000"',
        "an argument, state, queue": "state = DISCARDED AND queue = own AND args.revision = 3",
    }
    both: dict[str, tuple[str, UUID | None]] = {name: (text, None) for name, text in asked.items()}
    both["environment, 20 jobs"] = ("", RARE_ENVIRONMENT)
    both["environment, 20 jobs, kind"] = ("kind = deliverEvent", RARE_ENVIRONMENT)
    common = UUID("00000000-0000-4000-8000-000000000005")
    both["environment, common, state"] = ("state = DISCARDED", common)
    return both


async def measure(
    database: Database, label: str, text: str, environment_id: UUID | None, rounds: int, deep: int
) -> tuple[Figure, Figure | None]:
    """Times the first page, and one after `deep` more, of each round."""
    reader = PostgresQueuedJobReader(database)
    condition = parse_filter(text, FILTER_FIELDS)

    async def page(after: JobPlace | None, limit: int) -> tuple[float, int, JobPlace | None]:
        began = time.perf_counter()
        found = await reader.page(environment_id, condition, after=after, limit=limit)
        return (time.perf_counter() - began) * 1_000, len(found.jobs), found.end

    firsts: list[float] = []
    shown = 0
    for _ in range(rounds):
        milliseconds, shown, _ = await page(None, PAGE)
        firsts.append(milliseconds)
    end: JobPlace | None = None
    for _ in range(deep):
        _, _, end = await page(end, 1_000)
        if end is None:
            return Figure(label, shown, firsts), None
    deeps: list[float] = []
    deep_shown = 0
    for _ in range(rounds):
        milliseconds, deep_shown, _ = await page(end, PAGE)
        deeps.append(milliseconds)
    return Figure(label, shown, firsts), Figure(label, deep_shown, deeps)


async def measure_looks(database: Database, rounds: int) -> Figure:
    """Times the looks of a watch that remembers as many jobs as it may."""
    watcher = PostgresJobWatcher(database)
    known: dict[UUID, JobStamp] = {}
    end: JobPlace | None = None
    while len(known) < MAX_KNOWN:
        page = await watcher.page(None, None, after=end, limit=1_000)
        known |= {job.id: stamp_of(job) for job in page.jobs}
        end = page.end
    looks: list[float] = []
    at: datetime | None = None
    shown = 0
    for _ in range(rounds):
        began = time.perf_counter()
        look = await watcher.look(None, None, since=at, known=known)
        if at is not None:
            looks.append((time.perf_counter() - began) * 1_000)
            shown = len(known)
        at = look.at
    return Figure("a look of a watch", shown, looks)


async def run(url: str, end: datetime, rounds: int, deep: int) -> int:
    """Prints the table; answers how many lines are past the bar."""
    table = Table(
        "filter", "jobs", "p50 ms", "max ms", "deep: jobs", "p50 ms", "max ms", title="Lists"
    )
    late = 0
    async with open_ledger_database(url, pool_size=2, application_name="bench") as database:
        await PostgresQueuedJobReader(database).page(None, None, after=None, limit=1)
        for label, (text, environment_id) in filters(end).items():
            first, far = await measure(database, label, text, environment_id, rounds, deep)
            cells = [label]
            for figure in (first, far):
                if figure is None:
                    cells += ["", "", ""]
                    continue
                late += figure.is_late
                p50 = statistics.median(figure.milliseconds)
                cells += [str(figure.shown), f"{p50:.1f}", f"{max(figure.milliseconds):.1f}"]
            table.add_row(*cells)
        looks = await measure_looks(database, rounds)
        p50 = statistics.median(looks.milliseconds)
        table.add_row(
            looks.label,
            str(looks.shown),
            f"{p50:.1f}",
            f"{max(looks.milliseconds):.1f}",
            "",
            "",
            "",
        )
    Console(width=120).print(table)
    return late


def main() -> int:
    """Fills, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue_lists", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--deep", type=int, default=20, help="pages of 1,000 before the deep one")
    options = parser.parse_args()
    end = datetime.now(UTC)
    with temporary_postgres() as server:
        url = server.server.url("postgres")
        upgrade(url, MIGRATIONS, "workerqueue")
        began = time.monotonic()
        fill(url, options.jobs, end)
        print(f"{options.jobs:,} jobs stored in {time.monotonic() - began:.0f} s")
        late = asyncio.run(run(url, end, options.rounds, options.deep))
    print(f"{late} past {BAR_MS:.0f} ms")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
