"""A migrated database and described jobs for the tests of jobs."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.tables import METADATA
from kongflow_jobs.application.ports import NewEvent, NewRun, StoredEvent
from kongflow_jobs.domain.dispatcher_wish import DispatcherWish
from kongflow_jobs.domain.job import JobPlace
from kongflow_jobs.domain.registration import Registration, read_registration

MIGRATIONS = Path(__file__).parents[1] / "migrations"

STATIC: dict[str, Any] = {
    "type": "static",
    "title": "order.created",
    "rule": {"event": "order.created", "source": "trigger.dev", "payload": {"n": [{"$gt": 1}]}},
}
SCHEDULED: dict[str, Any] = {
    "type": "scheduled",
    "schedule": {"type": "interval", "options": {"seconds": 60}},
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The context's database, migrated and empty."""
    upgrade(database_url, MIGRATIONS, "jobs")
    async with Database.connect(database_url, pool_size=4, application_name="tests") as database:
        tables = ", ".join(table.fullname for table in METADATA.sorted_tables)
        await database.pool.execute(f"TRUNCATE {tables}")
        yield database


@pytest.fixture
def registry(database: Database) -> PostgresRegistry:
    return PostgresRegistry(database)


@pytest.fixture
def place() -> JobPlace:
    return JobPlace(new_id(), new_id(), new_id())


def described(slug: str = "order", version: str = "1.0.0", **changes: Any) -> dict[str, Any]:
    """A job as a program describes it."""
    return {
        "id": slug,
        "name": "Order",
        "version": version,
        "event": {
            "name": "order.created",
            "title": "Event",
            "source": "trigger.dev",
            "icon": "custom-event",
        },
        "trigger": STATIC,
        "integrations": {},
        "startPosition": "latest",
        "enabled": True,
        "preprocessRuns": False,
        **changes,
    }


def registration(
    place: JobPlace,
    document: dict[str, Any],
    generation: int = 1,
    endpoint_id: UUID | None = None,
) -> Registration:
    return read_registration(place, endpoint_id or new_id(), generation, orjson.dumps(document))


@dataclass
class KeptDispatchers:
    """Dispatchers as events keeps them: only newer generations count."""

    kept: dict[UUID, DispatcherWish] = field(default_factory=dict)
    calls: int = 0
    away: bool = False

    async def put(self, wish: DispatcherWish) -> Sequence[str]:
        if self.away:
            raise DependencyUnavailable("events")
        self.calls += 1
        kept = self.kept.get(wish.job_id)
        if kept is None or kept.generation < wish.generation:
            self.kept[wish.job_id] = wish
        return ()


@dataclass
class KeptEvents:
    """Event records by their ids."""

    kept: dict[tuple[UUID, str], tuple[StoredEvent, NewEvent]] = field(default_factory=dict)

    async def store(self, event: NewEvent) -> StoredEvent:
        key = (event.place.environment_id, event.event_id)
        if key in self.kept:
            found, _ = self.kept[key]
            return StoredEvent(found.record_id, found.event_id, None, created=False)
        stored = StoredEvent(new_id(), event.event_id, None, created=True)
        self.kept[key] = (stored, event)
        return stored


@dataclass
class KeptRuns:
    """Runs by their event records."""

    kept: dict[UUID, UUID] = field(default_factory=dict)
    asked: list[NewRun] = field(default_factory=list)

    async def create(self, run: NewRun) -> UUID:
        self.asked.append(run)
        return self.kept.setdefault(run.event.record_id, new_id())
