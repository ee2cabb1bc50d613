"""Schemas in memory: what is known may be out of date, and then nothing is stored."""

import asyncio
from uuid import UUID, uuid4

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_events.adapters.event_intake import BatchingEventIntake
from kongflow_events.adapters.schema_directory import MemorySchemaDirectory
from kongflow_events.application.new_event import NewEvent, NewlyStored
from kongflow_events.application.ports import SchemasChanged
from kongflow_events.domain.event_record import EventContent, PayloadType, Priority, Tenancy


async def store_schema(database: Database, environment_id: UUID, size: int = 2) -> None:
    await database.pool.execute(
        """INSERT INTO events.event_schemas
               (id, environment_id, event_name, version, definition, mode)
           VALUES (%(id)s, %(environment_id)s, %(id)s::text, 1, %(definition)s, 'REJECT')""",
        {"id": new_id(), "environment_id": environment_id, "definition": "{" + " " * size + "}"},
    )


def new_event(environment_id: UUID, schemas_version: int) -> NewEvent:
    record_id = new_id()
    return NewEvent(
        id=record_id,
        event_id=str(record_id),
        name="a",
        source="s",
        timestamp=None,
        payload_type=PayloadType.JSON,
        content=EventContent(),
        tenancy=Tenancy(environment_id, uuid4(), uuid4()),
        deliver_at=None,
        is_test=False,
        priority=Priority.HIGH,
        account_id=None,
        traceparent="",
        schemas_version=schemas_version,
    )


async def test_one_environments_change_holds_up_no_other(
    database: Database, intake: BatchingEventIntake
) -> None:
    changed, other = uuid4(), uuid4()
    await store_schema(database, changed)
    outcomes = await intake.add_many(
        [new_event(changed, 0), new_event(other, 0), new_event(changed, 1), new_event(other, 1)]
    )
    assert [type(each) for each in outcomes] == [
        SchemasChanged,
        NewlyStored,
        NewlyStored,
        SchemasChanged,
    ]
    assert await database.pool.execute("SELECT count(*) FROM events.event_records") == [(2,)]
    # Nothing is enqueued for what is not stored.
    assert await database.pool.execute(
        "SELECT count(*) FROM events.event_records r FULL JOIN events.outbox o ON o.id = r.id "
        "WHERE r.id IS NULL"
    ) == [(0,)]


async def test_it_reads_once_for_many_and_again_when_asked(database: Database) -> None:
    directory, environment_id = MemorySchemaDirectory(database), uuid4()
    assert directory.known(environment_id) is None
    empty = await asyncio.gather(*(directory.read(environment_id) for _ in range(20)))
    assert {each.version for each in empty} == {0}
    await store_schema(database, environment_id)
    known = directory.known(environment_id)
    assert known is not None
    assert known.version == 0
    read = await directory.read(environment_id)
    assert (read.version, len(read.by_name)) == (1, 1)
    # Nothing changed: what was compiled stays.
    assert await directory.read(environment_id) is read


async def test_those_asked_for_least_recently_go(database: Database) -> None:
    by_number = MemorySchemaDirectory(database, max_environments=2)
    environments = [uuid4() for _ in range(3)]
    for each in environments:
        await by_number.read(each)
    assert [by_number.known(each) is not None for each in environments] == [False, True, True]
    by_size = MemorySchemaDirectory(database, max_definition_bytes=1_500)
    for each in environments:
        await store_schema(database, each, size=1_000)
        await by_size.read(each)
    assert len(by_size) == 1
