"""Lists of queued jobs against a plain reading of all jobs, and what a page reads."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_workerqueue.adapters import queued_job_lists, queued_job_queries
from kongflow_workerqueue.adapters.job_filters import TARGETS
from kongflow_workerqueue.adapters.queued_job_reader import PostgresQueuedJobReader
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS
from kongflow_workerqueue.application.ports import JobPlace, QueuedJob
from kongflow_workerqueue.application.queries import FILTER_FIELDS
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest

START = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRONMENTS = [None, new_id(), new_id()]
STATES = [
    *("available", "scheduled", "running", "retryable", "completed", "cancelled", "discarded"),
]
FILTERS = [
    "",
    "state = COMPLETED",
    "state = RUNNING",
    "state != RUNNING",
    "NOT (state = COMPLETED OR kind = kind1)",
    "kind = kind1",
    "kind = kind1 OR queue = queue2",
    "kind < kind2",
    "queue = queue1 AND state = DISCARDED",
    'create_time > "2026-01-01T00:00:03Z"',
    'create_time >= "2026-01-01T00:00:03Z"',
    'create_time < "2026-01-01T00:00:03Z"',
    'create_time <= "2026-01-01T00:00:03Z"',
    'create_time = "2026-01-01T00:00:03Z"',
    'create_time != "2026-01-01T00:00:03Z"',
    'NOT create_time < "2026-01-01T00:00:03Z"',
    'create_time > "2026-01-01T00:00:01Z" AND create_time < "2026-01-01T00:00:04Z"',
    'create_time < "2026-01-01T00:00:02Z" OR state = RETRYABLE',
    'state = AVAILABLE AND kind = kind2 AND queue = queue1 AND create_time > "2026-01-01T00:00Z"',
    'end_time < "2026-01-01T00:00:05Z"',
    'end_time > "2026-01-01T00:00:05Z"',
    "priority = LOW",
    "tag = seldom",
    "NOT tag = seldom AND state = AVAILABLE",
    "tags:seldom",
    "NOT tags:* AND state = available",
    "error_code = INTERNAL",
    'args.event.id = "e7"',
    "args.event.id = e7",
    'args.event.id != "e7" AND state = COMPLETED',
    "args.revision = 3",
    "args.revision < 2",
    "args.revision >= 5",
    "args.big > 80",
    "args.big = 33",
    "args.last = true",
    "args.last != true",
    'args.event.id < "e2"',
    "args.lines:l1",
    "NOT args.lines:2 AND state = Completed",
    "args.nothing = 1",
    "NOT args.nothing = 1 AND kind = kind0",
]


@pytest.fixture
async def jobs(
    ledger: LedgerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """400 jobs of all states, many with one time of creation; few are looked at at a time."""
    for name, value in (("MERGED_GROUPS", 5), ("SCANNED", 15)):
        monkeypatch.setattr(queued_job_lists, name, value)
        monkeypatch.setattr(queued_job_queries, name, value)
    dice = random.Random(7)
    made = [job_row(dice, number) for number in range(400)]
    for row in made:
        names = ", ".join(row)
        places = ", ".join("%s::jsonb" if name in ("args", "errors") else "%s" for name in row)
        await ledger.execute(
            f"INSERT INTO workerqueue.queued_jobs ({names}) VALUES ({places})", *row.values()
        )
    yield made
    await ledger.execute("TRUNCATE workerqueue.queued_jobs")


def job_row(dice: random.Random, number: int) -> dict[str, Any]:
    state = dice.choice(STATES)
    created = START + timedelta(seconds=dice.randrange(6))
    final = state in ("completed", "cancelled", "discarded")
    return {
        "id": UUID(int=dice.getrandbits(128)),
        "kind": f"kind{dice.randrange(4)}",
        "queue": f"queue{dice.randrange(3)}",
        "state": state,
        "priority": dice.randrange(1, 5),
        "max_attempts": 5,
        "run_at": created,
        "created_at": created,
        "finalized_at": created + timedelta(seconds=dice.randrange(4)) if final else None,
        "worker_id": new_id() if state == "running" else None,
        "environment_id": dice.choice(ENVIRONMENTS),
        "tags": ["seldom"] if number % 50 == 0 else None,
        "args": (
            f'{{"event": {{"id": "e{number % 10}"}}, "revision": {number % 7}, '
            f'"NULL": 1, "a}}b": "x", "none": null, '
            f'"lines": ["l{number % 4}", {number % 5}, ["deep"], {{"deep": 1}}], '
            f'"big": "{number}", "last": {"true" if number == 399 else "false"}}}'
        ),
        "errors": (
            '[{"attempt": 1, "at": "2026-01-01T00:00:00Z", "status": '
            '{"code": 13, "message": "no"}}]'
            if number % 20 == 0
            else None
        ),
    }


async def listed(
    ledger: LedgerUnderTest, text: str, environment_id: UUID | None, limit: int
) -> list[QueuedJob]:
    reader = PostgresQueuedJobReader(ledger.database)
    condition = parse_filter(text, FILTER_FIELDS)
    found: list[QueuedJob] = []
    after: JobPlace | None = None
    while True:
        page = await reader.page(environment_id, condition, after=after, limit=limit)
        assert len(page.jobs) <= limit
        found.extend(page.jobs)
        if page.end is None:
            return found
        assert after is None or page.end < after, "the list does not go on"
        after = page.end


@pytest.mark.usefixtures("jobs")
async def test_lists_hold_what_the_whole_table_holds(ledger: LedgerUnderTest) -> None:
    everything = await listed(ledger, "", None, 1_000)
    assert len(everything) == 400
    shown = 0
    for text in FILTERS:
        for environment_id in (None, ENVIRONMENTS[1]):
            expected = await plainly(ledger, text, environment_id)
            found = [job.id for job in await listed(ledger, text, environment_id, 60)]
            assert found == expected, (text, environment_id)
            shown += len(found)
    assert shown > 3_000


async def plainly(ledger: LedgerUnderTest, text: str, environment_id: UUID | None) -> list[UUID]:
    """The ids of a filter's jobs by the condition alone."""
    columns = QUEUED_JOBS.c
    query = select(columns.id).order_by(columns.created_at.desc(), columns.id.desc())
    condition = parse_filter(text, FILTER_FIELDS)
    if condition is not None:
        query = query.where(filter_condition(condition, TARGETS))
    if environment_id is not None:
        query = query.where(columns.environment_id == environment_id)
    async with ledger.database.reading() as connection:
        return list((await connection.execute(query)).scalars())


async def test_conditions_on_arguments_mean_what_they_say(
    ledger: LedgerUnderTest, jobs: Sequence[dict[str, Any]]
) -> None:
    for text, count in [
        ('args.event.id = "e7"', 40),
        ("args.revision = 3", 57),
        ("args.revision < 2", 115),
        ("args.big = 33", 1),
        ("args.big > 80", 319),
        ("args.last = true", 1),
        ("args.last != true", 399),
        ('args.event.id < "e2"', 80),
        ("args.nothing = 1", 0),
        ("NOT args.nothing = 1", 400),
        ("args.event.id = 7", 0),
        ("args.NULL = 1", 400),
        ("args.a}b = x", 400),
        ('args.a}b = "x" AND NOT args.event = x', 400),
        ('args.lines:"l1"', 100),
        ("args.lines:l1 OR args.lines:l2", 200),
        ("NOT args.lines:l1", 300),
        ("args.lines:2", 80),
        ('args.lines:"2"', 0),
        ("args.lines:deep", 0),
        ("args.lines:true", 0),
        ("args.lines:*", 400),
        ("args.event:id", 400),
        ("args.event:e7", 0),
        ("args.event.id:e7", 40),
        ("args.revision:3", 57),
        ("args.big:33", 1),
        ("args.last:true", 1),
        ("args:event", 400),
        ("args:nothing", 0),
        ("args.none:*", 0),
        ("args.nothing:*", 0),
        ('args.lines:"*"', 0),
        ("tags:seldom", 8),
        ('NOT tags:"seldom"', 392),
        ("tags:sel", 0),
        ("tags:*", 8),
        ("NOT tags:*", 392),
        ('tags:"*"', 0),
    ]:
        assert len(await listed(ledger, text, None, 100)) == count, text
    with pytest.raises(InvalidField, match="= and != only"):
        await listed(ledger, "args.last > true", None, 10)
