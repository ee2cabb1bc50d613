"""What storing an event costs PostgreSQL, with the indexes of lists and with those before them."""

import asyncio
import statistics
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.new_event_rows import NewEventRows
from kongflow_events.application.ports import NewEvent
from kongflow_events.domain.dispatcher_index import MatchedDispatchers
from kongflow_events.domain.event_record import EventContent, PayloadType, Priority, Tenancy

__all__ = ["measure_intake"]

BATCH: Final = 100
TENANCY: Final = Tenancy(uuid.uuid4(), uuid.uuid4(), uuid.uuid4())
DISPATCHER: Final = uuid.uuid4()
OUTCOMES: Final = {
    "delivered": MatchedDispatchers(0, [DISPATCHER]),
    "unmatched": MatchedDispatchers(0, []),
    "pending": None,
}

# The indexes that a migration exchanged for the present ones.
BEFORE: Final = """
DROP INDEX events.event_records_environment_id_name_id_idx;
DROP INDEX events.event_records_environment_id_unprocessed_id_idx;
DROP INDEX events.event_records_environment_id_test_id_idx;
DROP INDEX events.event_records_created_at_brin_idx;
CREATE INDEX event_records_deliver_at_idx
    ON events.event_records (deliver_at) WHERE delivered_at IS NULL;
CREATE INDEX event_records_created_at_idx ON events.event_records (created_at)
"""


def measure_intake(url: str, migrations: Path, events: int, rounds: int) -> None:
    """Prints bytes of the log and CPU time per event, for each outcome and set of indexes."""
    upgrade(url, migrations, "events")
    costs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(rounds):
        for indexes in ("present", "before"):
            database = f"intake_{number}_{indexes}"
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {database} TEMPLATE postgres")
            of_round = url.replace("/postgres", f"/{database}")
            if indexes == "before":
                with psycopg.connect(of_round, autocommit=True) as connection:
                    connection.execute(BEFORE)
            for outcome, matched in OUTCOMES.items():
                cost = asyncio.run(_store(of_round, events, matched))
                costs.setdefault((outcome, indexes), []).append(cost)
    _print(costs)


async def _store(url: str, events: int, matched: MatchedDispatchers | None) -> tuple[float, float]:
    async with Database.connect(url, pool_size=1, application_name="bench") as database:
        await database.pool.execute("CHECKPOINT")
        # The pages that a checkpoint makes dear are written once before.
        await _statements(database, 2_000, matched)
        [(pid, before)] = await database.pool.execute(
            "SELECT pg_backend_pid(), pg_current_wal_insert_lsn()::text"
        )
        server = psutil.Process(pid)
        began = sum(server.cpu_times()[:2])
        await _statements(database, events, matched)
        cpu = sum(server.cpu_times()[:2]) - began
        [(written,)] = await database.pool.execute(
            "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [before]
        )
    return float(written) / events, cpu * 1_000_000 / events


async def _statements(database: Database, events: int, matched: MatchedDispatchers | None) -> None:
    for first in range(0, events, BATCH):
        rows = NewEventRows([_event(n, matched) for n in range(first, first + BATCH)], None)
        await database.pool.execute(rows.statement, rows.parameters)


def _event(number: int, matched: MatchedDispatchers | None) -> NewEvent:
    id_ = new_id()
    return NewEvent(
        id=id_,
        event_id=str(id_),
        name=f"thing.{number % 40}",
        source="trigger.dev",
        timestamp=None,
        payload_type=PayloadType.JSON,
        content=EventContent(payload=JsonDocument(b'{"kind": "order", "amount": 12, "id": 7}')),
        tenancy=TENANCY,
        deliver_at=None,
        is_test=False,
        priority=Priority.HIGH,
        account_id=None,
        traceparent="",
        matched=matched,
    )


def _print(costs: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    table = Table("event", "indexes", "WAL bytes an event", "CPU µs an event", title="Intake")
    for (outcome, indexes), measured in costs.items():
        written, cpu = zip(*measured, strict=True)
        table.add_row(outcome, indexes, _spread(written), _spread(cpu))
    Console(width=120).print(table)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} - {max(values):.0f})"
