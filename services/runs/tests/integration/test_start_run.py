"""Pending runs get numbers within their job, once."""

import asyncio
from dataclasses import replace
from itertools import chain

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.domain.run import NewRun
from services.runs.tests.conftest import a_run


async def stored(writer: BatchingRunWriter, count: int) -> list[NewRun]:
    """Stores runs of one job and one environment."""
    first = a_run()
    runs = [replace(first, id=new_id(), event_record_id=new_id()) for _ in range(count)]
    await asyncio.gather(*map(writer.create, runs))
    return runs


async def numbers(database: Database, runs: list[NewRun]) -> list[tuple[int | None, str]]:
    """Number and state of each run, in the order given."""
    rows = await database.pool.execute("SELECT id, number, status FROM runs.job_runs")
    by_id = {row[0]: (row[1], row[2]) for row in rows}
    return [by_id[run.id] for run in runs]


async def test_runs_are_numbered_from_one_without_gaps(
    database: Database, writer: BatchingRunWriter
) -> None:
    runs = await stored(writer, 5)
    starter = PostgresRunStarter(database)
    environment_id = runs[0].environment_id
    await starter.start(environment_id, [run.id for run in runs[:3]])
    await starter.start(environment_id, [run.id for run in runs[3:]])
    found = await numbers(database, runs)
    assert {state for _, state in found} == {"QUEUED"}
    assert sorted(number or 0 for number, _ in found) == [1, 2, 3, 4, 5]


async def test_a_repeated_start_changes_nothing(
    database: Database, writer: BatchingRunWriter
) -> None:
    runs = await stored(writer, 3)
    starter = PostgresRunStarter(database)
    ids = [run.id for run in runs]
    started = await asyncio.gather(*(starter.start(runs[0].environment_id, ids) for _ in range(8)))
    assert sorted(chain.from_iterable(started)) == sorted(ids)
    assert sorted(number or 0 for number, _ in await numbers(database, runs)) == [1, 2, 3]


async def test_another_environment_starts_nothing(
    database: Database, writer: BatchingRunWriter
) -> None:
    runs = await stored(writer, 1)
    stranger = a_run().environment_id
    assert await PostgresRunStarter(database).start(stranger, [runs[0].id]) == []
    assert await numbers(database, runs) == [(None, "PENDING")]
