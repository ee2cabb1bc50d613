"""Rows as parameters of one statement: one binary array per column.

    EVENT_ROWS = RowParameters("e", id="uuid", name="text", payload="jsonb")
    STATEMENT = f"INSERT INTO events.event_records (id, name, payload)
                  SELECT {EVENT_ROWS.columns} FROM {EVENT_ROWS.source}"
    await database.pool.execute(STATEMENT, EVENT_ROWS.bind([(id, name, document.text), ...]))

psycopg writes lists of text in text form, in Python, at twenty times the cost of this; and an
array whose type is declared needs no casts, which PostgreSQL may evaluate again and again.
Keep a statement below 4,096 characters and 51 parameters: psycopg reads longer ones anew each time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from struct import Struct
from typing import Any, Literal, cast
from uuid import UUID

from psycopg.abc import DumperKey, PyFormat
from psycopg.adapt import Dumper
from psycopg.pq import Format

__all__ = ["ArrayDumper", "ArrayParameter", "ColumnType", "RowParameters", "array_parameter"]

ColumnType = Literal[
    "uuid",
    "text",
    "json",
    "jsonb",
    "bytea",
    "timestamptz",
    "bigint",
    "integer",
    "smallint",
    "boolean",
    "uuid of bytes",
    "timestamptz of microseconds",
]
"""The types of PostgreSQL; the last two are those of values that nobody has made objects of."""

_HEADER = Struct("!iiI")
_DIMENSION = Struct("!ii")
_NULL = b"\xff\xff\xff\xff"
_LENGTH = Struct("!i")
_INT8 = Struct("!iq")
_INT4 = Struct("!ii")
_INT2 = Struct("!ih")
_LENGTH_16 = _LENGTH.pack(16)
_TRUE = _LENGTH.pack(1) + b"\x01"
_FALSE = _LENGTH.pack(1) + b"\x00"
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000


# Called for every value of every row: each name that is looked up, and each cast, counts.
_length = _LENGTH.pack
_int8 = _INT8.pack


def _uuid(value: UUID) -> bytes:
    return _LENGTH_16 + value.int.to_bytes(16)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _length(len(encoded)) + encoded


def _jsonb(value: bytes) -> bytes:
    # The binary form of jsonb is a version byte and the text.
    return _length(len(value) + 1) + b"\x01" + value


def _bytea(value: bytes) -> bytes:
    return _length(len(value)) + value


def _timestamptz(value: datetime) -> bytes:
    # Naive datetimes fail here: subtracting them from an aware one raises TypeError.
    since = value - _POSTGRES_EPOCH
    return _int8(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _uuid_of_bytes(value: bytes) -> bytes:
    return _LENGTH_16 + value


def _timestamptz_of_microseconds(value: int) -> bytes:
    return _int8(8, value - _POSTGRES_EPOCH_MICROSECONDS)


def _bigint(value: int) -> bytes:
    return _int8(8, value)


def _integer(value: int) -> bytes:
    return _INT4.pack(4, value)


def _smallint(value: int) -> bytes:
    return _INT2.pack(2, value)


def _boolean(value: object) -> bytes:
    return _TRUE if value else _FALSE


@dataclass(frozen=True, slots=True)
class _ElementType:
    oid: int
    array_oid: int
    encode: Callable[[Any], bytes]


_ELEMENT_TYPES: Mapping[ColumnType, _ElementType] = {
    "uuid": _ElementType(2950, 2951, _uuid),
    "text": _ElementType(25, 1009, _text),
    "json": _ElementType(114, 199, _bytea),
    "jsonb": _ElementType(3802, 3807, _jsonb),
    "bytea": _ElementType(17, 1001, _bytea),
    "timestamptz": _ElementType(1184, 1185, _timestamptz),
    "bigint": _ElementType(20, 1016, _bigint),
    "integer": _ElementType(23, 1007, _integer),
    "smallint": _ElementType(21, 1005, _smallint),
    "boolean": _ElementType(16, 1000, _boolean),
    "uuid of bytes": _ElementType(2950, 2951, _uuid_of_bytes),
    "timestamptz of microseconds": _ElementType(1184, 1185, _timestamptz_of_microseconds),
}


class ArrayParameter:
    """A PostgreSQL array in binary form, ready to be sent."""

    __slots__ = ("array_oid", "data")

    def __init__(self, array_oid: int, data: bytes) -> None:
        self.array_oid = array_oid
        self.data = data


def array_parameter(column_type: ColumnType, values: Sequence[object]) -> ArrayParameter:
    """Encode a one-dimensional array, e.g. for `WHERE id = ANY(%(ids)b)`.

    None becomes NULL. Elements: UUID, str, bytes (for jsonb JSON text), aware datetime, int,
    bool; 16 bytes for "uuid of bytes", the microseconds since 1970 for "timestamptz of
    microseconds". Raises TypeError, AttributeError, OverflowError or struct.error for other values.
    """
    element = _ELEMENT_TYPES[column_type]
    if not values:
        return ArrayParameter(element.array_oid, _HEADER.pack(0, 0, element.oid))
    encode = element.encode
    first = values[0]
    # In many rows of one call most columns hold one and the same object. What is equal is encoded
    # alike, and counting looks at identity first; the last one tells of most other columns.
    if values[-1] is first and values.count(first) == len(values):
        encoded = [_NULL if first is None else encode(first)] * len(values)
    else:
        encoded = [_NULL if each is None else encode(each) for each in values]
    # The flag only announces that NULLs may come; the server looks for itself.
    head = _HEADER.pack(1, 1, element.oid) + _DIMENSION.pack(len(values), 1)
    return ArrayParameter(element.array_oid, head + b"".join(encoded))


class ArrayDumper(Dumper):
    """Hands an ArrayParameter to psycopg, under the type that it names itself."""

    format = Format.BINARY

    def get_key(self, obj: ArrayParameter, format: PyFormat) -> DumperKey:  # noqa: A002
        # psycopg only compares keys; a number tells types apart as well as a class does.
        return cast("DumperKey", (ArrayParameter, obj.array_oid))

    def upgrade(self, obj: ArrayParameter, format: PyFormat) -> Dumper:  # noqa: A002
        dumper = ArrayDumper(ArrayParameter)
        dumper.oid = obj.array_oid
        return dumper

    def dump(self, obj: ArrayParameter) -> bytes:
        return obj.data


class RowParameters:
    """The columns that a statement takes as arrays, under the alias `alias`.

    `source` stands in FROM; `columns` lists the columns with their alias. `streamed` stands in FROM
    as well: PostgreSQL makes its rows as they are read, where it gathers each column of `source`
    before, which of 20 columns takes a microsecond a row. It is a subquery, which the planner does
    not take apart.
    """

    def __init__(self, alias: str, /, **columns: ColumnType) -> None:
        self._columns = tuple((f"{alias}_{name}", kind) for name, kind in columns.items())
        parameters = ", ".join(f"%({parameter})b" for parameter, _ in self._columns)
        self.source = f"unnest({parameters}) AS {alias}({', '.join(columns)})"
        self.columns = ", ".join(f"{alias}.{name}" for name in columns)
        each = ", ".join(f"unnest(%({parameter})b)" for parameter, _ in self._columns)
        self.streamed = f"(SELECT {each}) AS {alias}({', '.join(columns)})"

    def bind(self, rows: Sequence[Sequence[object]]) -> dict[str, ArrayParameter]:
        """Make the parameters: each row holds a value per column, in the order declared.

        Raises ValueError when a row has another number of values.
        """
        arrays: list[tuple[object, ...]]
        arrays = list(zip(*rows, strict=True)) if rows else [()] * len(self._columns)
        if len(arrays) != len(self._columns):
            raise ValueError(f"a row has {len(arrays)} values for {len(self._columns)} columns")
        return self.bind_columns(arrays)

    def bind_columns(self, columns: Sequence[Sequence[object]]) -> dict[str, ArrayParameter]:
        """Make the parameters of columns of one length, in the order declared.

        Raises ValueError when there is another number of columns.
        """
        return {
            parameter: array_parameter(kind, values)
            for (parameter, kind), values in zip(self._columns, columns, strict=True)
        }
