"""Binary arrays, as PostgreSQL understands them."""

import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.ids import id_text, new_id

ROWS = RowParameters(
    "r",
    position="integer",
    id="uuid",
    name="text",
    payload="jsonb",
    at="timestamptz",
    large="bigint",
    small="smallint",
    flag="boolean",
)
ECHO = f"SELECT {ROWS.columns} FROM {ROWS.source} ORDER BY r.position"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.connect(database_url, pool_size=1, application_name="test") as connected:
        yield connected


async def test_every_type_arrives_as_it_was_sent(database: Database) -> None:
    early = datetime(1970, 1, 1, tzinfo=UTC)
    late = datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-11)))
    identifier = new_id()
    rows: list[tuple[object, ...]] = [
        (1, identifier, "naïve 😀 'quoted' {,} \\", b'{"a": [1, null]}', late, 2**63 - 1, -1, True),
        (2, UUID(int=0), "", b'"x"', early, -(2**63), 32767, False),
        (3, None, None, None, None, None, None, None),
    ]
    answered = await database.pool.execute(ECHO, ROWS.bind(rows))
    assert answered == [
        (1, identifier, rows[0][2], {"a": [1, None]}, late, 2**63 - 1, -1, True),
        (2, UUID(int=0), "", "x", early, -(2**63), 32767, False),
        rows[2],
    ]
    assert id_text(answered[0][1]) == str(identifier), "an id of the database is one of ours"


async def test_columns_arrive_whose_values_nobody_has_made_objects_of(database: Database) -> None:
    rows = RowParameters("r", id="uuid of bytes", at="timestamptz of microseconds")
    identifier, at = new_id(), datetime(2026, 5, 4, 3, 2, 1, 987_654, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (at - epoch) // timedelta(microseconds=1)
    answered = await database.pool.execute(
        f"SELECT {rows.columns} FROM {rows.source}",
        rows.bind_columns([[identifier.bytes, None, bytes(16)], [microseconds, 0, None]]),
    )
    assert answered == [(identifier, at), (None, epoch), (UUID(int=0), None)]
    with pytest.raises(ValueError, match="zip"):
        rows.bind_columns([[None]])


async def test_no_rows_are_possible_and_so_are_many(database: Database) -> None:
    assert await database.pool.execute(ECHO, ROWS.bind([])) == []
    many = [(n, None, f"name {n}", None, None, n, 0, None) for n in range(5000)]
    assert len(await database.pool.execute(ECHO, ROWS.bind(many))) == 5000


async def test_a_column_of_one_value_and_one_of_nothing_are_whole_columns(
    database: Database,
) -> None:
    identifier, at = new_id(), datetime(2026, 1, 1, tzinfo=UTC)
    rows = [(n, identifier, "same", b"{}", at, None, 1, True) for n in range(3)]
    answered = await database.pool.execute(ECHO, ROWS.bind(rows))
    assert answered == [(n, identifier, "same", {}, at, None, 1, True) for n in range(3)]


async def test_rows_that_are_made_as_they_are_read_are_the_same(database: Database) -> None:
    rows = [(n, None, f"name {n}", b'{"n": %d}' % n, None, n, 0, n > 1) for n in range(3)]
    streamed = f"SELECT {ROWS.columns} FROM {ROWS.streamed} ORDER BY r.position"
    answered = await database.pool.execute(streamed, ROWS.bind(rows))
    assert len(answered) == 3
    assert answered == await database.pool.execute(ECHO, ROWS.bind(rows))


async def test_a_document_of_json_stays_as_it_is_written(database: Database) -> None:
    text = b'{ "b": 1e2,\t"a":1, "a" : [ ] }'
    answered = await database.pool.execute(
        "SELECT document::text FROM unnest(%(values)b) AS x(document)",
        {"values": array_parameter("json", [text, None])},
    )
    assert answered == [(text.decode(),), (None,)]


async def test_any_takes_an_array(database: Database) -> None:
    ids = [new_id() for _ in range(3)]
    statement = "SELECT count(*) FROM unnest(%(all)b) AS x(id) WHERE id = ANY(%(some)b)"
    parameters = {"all": array_parameter("uuid", ids), "some": array_parameter("uuid", ids[:2])}
    assert await database.pool.execute(statement, parameters) == [(2,)]
    parameters["some"] = array_parameter("uuid", [])
    assert await database.pool.execute(statement, parameters) == [(0,)]


async def test_the_same_arrays_go_through_core(database: Database) -> None:
    async with database.reading() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT id FROM unnest(%(ids)b) AS x(id)", {"ids": array_parameter("bigint", [1, 2])}
        )
        assert rows.scalars().all() == [1, 2]


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        ROWS.bind([(1,), (1, 2)])
    with pytest.raises(ValueError, match="2 values for 8 columns"):
        ROWS.bind([(1, 2)])


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError):
        array_parameter("timestamptz", [datetime(2026, 1, 1)])  # noqa: DTZ001 - the point
    with pytest.raises(AttributeError):
        array_parameter("uuid", ["x"])
    with pytest.raises(struct.error):
        array_parameter("integer", [2**31])


async def test_bytes_arrive_as_they_were_sent(database: Database) -> None:
    values = [b"\x00\xff{}", b"", None]
    answered = await database.pool.execute(
        "SELECT unnest(%(values)b)", {"values": array_parameter("bytea", values)}
    )
    assert answered == [(value,) for value in values]
