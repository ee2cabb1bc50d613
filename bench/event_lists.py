"""`python -m bench.event_lists`: how long pages of events take at 5,000,000 events.

It brings its own PostgreSQL, which is gone when it ends. `--events` and `--rounds` make it shorter;
`--intake` measures what storing an event costs instead, with the indexes and without the new ones.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from rich.console import Console
from rich.table import Table

from bench.event_intake import measure_intake
from bench.event_looks import looks
from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.rpc.filtering import parse_filter
from kongflow_embedded.temporary import temporary_postgres
from kongflow_events.adapters.event_reader import SqlReader
from kongflow_events.application.selection import Selection
from kongflow_events.rpc.event_mapping import EVENT_FILTER_FIELDS

MIGRATIONS = Path(__file__).parents[1] / "services" / "events" / "migrations"
BAR_MS = 50.0
PAGE = 50
SPAN = timedelta(days=30)
LARGE = UUID("00000000-0000-4000-8000-000000000001")
SMALL = UUID("00000000-0000-4000-8000-000000000002")

# A month's events of 40 names in one environment, and one in 50,000 in another; each statement's
# events have one time of creation, as those of one call have.
FILL = f"""
INSERT INTO events.event_records (
    id, event_id, name, source, payload, organization_id, environment_id, project_id,
    created_at, updated_at, "timestamp", deliver_at, processed_at, delivered_at, matched_count,
    cancelled_at, is_test)
SELECT overlay(overlay(gen_random_uuid()::text placing
                   lpad(to_hex((extract(epoch FROM at) * 1000)::bigint >> 16), 8, '0') from 1 for 8)
               placing lpad(to_hex((extract(epoch FROM at) * 1000)::bigint & 65535), 4, '0')
               || '-7' from 10 for 6)::uuid,
       'e' || n,
       CASE WHEN n %% 1000000 = 13 THEN 'seldom.seen' WHEN n %% 3 = 0 THEN 'order.created'
            ELSE 'thing.' || n %% 37 END,
       CASE WHEN n %% 1000000 = 17 THEN 'seldom' WHEN n %% 5 = 0 THEN 'shop'
            ELSE 'trigger.dev' END,
       jsonb_build_object('order', n, 'items', jsonb_build_array('a', 'b', n %% 7)),
       gen_random_uuid(),
       CASE WHEN n %% 50000 = 0 THEN '{SMALL}'::uuid ELSE '{LARGE}'::uuid END,
       gen_random_uuid(), at, at, at,
       CASE WHEN state = 'PENDING' THEN at + interval '1 hour' ELSE at END,
       CASE WHEN state IN ('DELIVERED', 'UNMATCHED') THEN at END,
       CASE WHEN state = 'DELIVERED' THEN at END,
       CASE WHEN state = 'DELIVERED' THEN 1 ELSE 0 END,
       CASE WHEN state = 'CANCELLED' THEN at END, n %% 100000 = 29
FROM (
    SELECT n,
           %(end)s::timestamptz - %(span)s::interval * (1 - (n / 100) * 100.0 / %(events)s) AS at,
           CASE WHEN n %% 200000 = 3 THEN 'CANCELLED' WHEN n %% 100000 = 5 THEN 'PENDING'
                WHEN n %% 10 < 2 THEN 'UNMATCHED' ELSE 'DELIVERED' END AS state
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g(n)) AS made
"""


@dataclass(frozen=True)
class Figure:
    """How long the pages of a filter took; `pages` are all that its list has, where counted."""

    shown: int
    milliseconds: Sequence[float]

    @property
    def median(self) -> float:
        """Half of them took longer."""
        return statistics.median(self.milliseconds)

    @property
    def is_late(self) -> bool:
        """Whether half of them passed the bar: single ones are the machine's."""
        return self.median > BAR_MS


def fill(url: str, events: int, end: datetime) -> None:
    """Stores events; the statistics are what autovacuum would have made of a month."""
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(1, events + 1, 100_000):
            last = min(first + 99_999, events)
            parameters = {"end": end, "span": SPAN, "events": events, "first": first, "last": last}
            connection.execute(FILL, parameters)
        connection.execute("VACUUM ANALYZE events.event_records")


def filters(end: datetime) -> dict[str, tuple[str, UUID]]:
    """What is asked for, by what the table calls it."""
    second = (end - timedelta(seconds=1)).isoformat()
    hour = (end - timedelta(hours=1)).isoformat()
    middle = (end - SPAN / 2).isoformat()
    day = f'create_time < "{middle}" AND create_time > "{(end - SPAN / 2 - SPAN / 30).isoformat()}"'
    states = ("DELIVERED", "UNMATCHED", "PENDING", "CANCELLED")
    asked: dict[str, str] = {"everything": ""}
    asked |= {f"state {state.lower()}": f"state = {state}" for state in states}
    asked |= {
        "state, one of two": "state = PENDING OR state = CANCELLED",
        "state, all but one": "state != DELIVERED",
        "name, common": "name = order.created",
        "name, 5 events": "name = seldom.seen",
        "name, none": "name = no.such",
        "name, all but one": "name != order.created",
        "source, common": "source = shop",
        "source, 5 events": "source = seldom",
        "test": "test = true",
        "no test": "test = false",
        "time, last second": f'create_time > "{second}"',
        "time, last hour": f'create_time > "{hour}"',
        "time, before the middle": f'create_time < "{middle}"',
        "time, a day": day,
        "deliver_time, last second": f'deliver_time > "{second}"',
        "deliver_time, to come": f'deliver_time > "{end.isoformat()}"',
        "state, name": "state = UNMATCHED AND name = thing.3",
        "state, name: none": "state = CANCELLED AND name = thing.3",
        "state delivered, name rare": "state = DELIVERED AND name = seldom.seen",
        "state, time": f'state = PENDING AND create_time < "{middle}"',
        "state, source": "state = UNMATCHED AND source = shop",
        "state, source rare": "state = DELIVERED AND source = seldom",
        "name, time": f'name = thing.3 AND create_time < "{middle}"',
        "name, a day": f"name = thing.3 AND {day}",
        "name, source": "name = order.created AND source = shop",
        "name, source rare": "name = order.created AND source = seldom",
        "name, test": "name = order.created AND test = true",
        "state, name, time": f'state = UNMATCHED AND name = thing.3 AND create_time < "{middle}"',
        "state, name, source, test, time": (
            f"state = DELIVERED AND name = order.created AND source = shop AND test = false "
            f'AND create_time < "{middle}"'
        ),
    }
    both = {name: (text, LARGE) for name, text in asked.items()}
    both["environment, 100 events"] = ("", SMALL)
    both["environment, 100 events, name"] = ("name = order.created", SMALL)
    return both


async def timed(rounds: int, ask: Callable[[], Awaitable[int]]) -> Figure:
    """Times what is asked for so many times."""
    taken: list[float] = []
    shown = 0
    for _ in range(rounds):
        began = time.perf_counter()
        shown = await ask()
        taken.append((time.perf_counter() - began) * 1_000)
    return Figure(shown, taken)


async def measure(
    reader: SqlReader, text: str, environment_id: UUID, rounds: int, deep: int
) -> tuple[Figure, Figure | None]:
    """Times the first page, and one after `deep` more, of each round."""
    condition = parse_filter(text, EVENT_FILTER_FIELDS)
    end: UUID | None = None

    async def page() -> int:
        found = await reader.page_events(Selection(environment_id, condition, end, PAGE))
        return len(found.records)

    first = await timed(rounds, page)
    for _ in range(deep):
        found = await reader.page_events(Selection(environment_id, condition, end, 1_000))
        end = found.end
        if end is None:
            return first, None
    return first, await timed(rounds, page)


async def gets(reader: SqlReader, rounds: int) -> dict[str, Figure]:
    """Times single events, by either of their ids."""
    [record] = (await reader.page_events(Selection(LARGE, None, None, 1))).records

    async def get(key: UUID | str) -> int:
        return int(await reader.find_event(LARGE, key) is not None)

    return {
        "get, by id": await timed(rounds, lambda: get(record.id)),
        "get, by event id": await timed(rounds, lambda: get(record.event_id)),
    }


async def look_to_the_end(reader: SqlReader) -> str:
    """How long what is rare, and what no index helps with, is looked for in the whole list."""
    condition = parse_filter("source = seldom", EVENT_FILTER_FIELDS)
    end: UUID | None = None
    began, calls, found = time.perf_counter(), 0, 0
    while calls == 0 or end is not None:
        page = await reader.page_events(Selection(LARGE, condition, end, PAGE))
        end, calls, found = page.end, calls + 1, found + len(page.records)
    seconds = time.perf_counter() - began
    return f"source, 5 events: {found} found in {calls} calls and {seconds:.1f} s"


async def run(url: str, end: datetime, rounds: int, deep: int) -> int:
    """Prints the table; answers how many lines are past the bar."""
    table = Table(
        "filter", "events", "p50 ms", "max ms", "deep: events", "p50 ms", "max ms", title="Lists"
    )
    late = 0
    async with Database.connect(url, pool_size=2, application_name="bench") as database:
        reader = SqlReader(database)
        await reader.page_events(Selection(LARGE, None, None, 1))
        lines: list[tuple[str, tuple[Figure | None, ...]]] = [
            (label, (figure, None)) for label, figure in (await gets(reader, rounds)).items()
        ]
        for label, (text, environment_id) in filters(end).items():
            lines.append((label, await measure(reader, text, environment_id, rounds, deep)))
        looked = [await look_to_the_end(reader), *[each async for each in looks(database, LARGE)]]
    for label, figures in lines:
        cells = [label]
        for figure in figures:
            if figure is None:
                cells += ["", "", ""]
                continue
            late += figure.is_late
            cells += [
                str(figure.shown),
                f"{figure.median:.1f}",
                f"{max(figure.milliseconds):.1f}",
            ]
        table.add_row(*cells)
    Console(width=120).print(table)
    print(*looked, sep="\n")
    return late


def main() -> int:
    """Fills, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.event_lists", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--deep", type=int, default=20, help="pages of 1,000 before the deep one")
    parser.add_argument("--intake", action="store_true", help="what storing an event costs instead")
    options = parser.parse_args()
    end = datetime.now(UTC)
    with temporary_postgres() as server:
        url = server.server.url("postgres")
        if options.intake:
            measure_intake(url, MIGRATIONS, options.events, options.rounds)
            return 0
        upgrade(url, MIGRATIONS, "events")
        began = time.monotonic()
        fill(url, options.events, end)
        print(f"{options.events:,} events stored in {time.monotonic() - began:.0f} s", flush=True)
        late = asyncio.run(run(url, end, options.rounds, options.deep))
    print(f"{late} past {BAR_MS:.0f} ms")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
