from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
)

from kongflow_common.db.filter_sql import FilterTarget, filter_condition
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import (
    And,
    Comparison,
    FieldType,
    FilterField,
    Not,
    Operator,
    Or,
    fields_of,
)
from kongflow_common.rpc.filtering import parse_filter

FIELDS = (
    FilterField("name", FieldType.TEXT),
    FilterField("state", FieldType.ENUM, ("PENDING", "DELIVERED")),
    FilterField("attempt", FieldType.NUMBER),
    FilterField("test", FieldType.BOOLEAN),
    FilterField("create_time", FieldType.TIME),
    FilterField("environment_id", FieldType.ID),
    FilterField("args", FieldType.DOCUMENT),
    FilterField("tags", FieldType.TEXTS),
)
A = Comparison("name", Operator.EQUAL, "a")
B = Comparison("attempt", Operator.AT_LEAST, 2)
C = Comparison("test", Operator.EQUAL, True)
ID = "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        ("  \n", None),
        ('name = "a"', A),
        ("name=a", A),
        ("name = 'a'", A),
        (
            r'name != "say \"hi\" \\ (now) AND"',
            Comparison("name", Operator.NOT_EQUAL, r'say "hi" \ (now) AND'),
        ),
        ('name = ""', Comparison("name", Operator.EQUAL, "")),
        ('name = "ключ — 键"', Comparison("name", Operator.EQUAL, "ключ — 键")),
        ("name < b", Comparison("name", Operator.LESS, "b")),
        ('state = "PENDING"', Comparison("state", Operator.EQUAL, "PENDING")),
        ("state != DELIVERED", Comparison("state", Operator.NOT_EQUAL, "DELIVERED")),
        ("state = pending", Comparison("state", Operator.EQUAL, "PENDING")),
        ('state != "Delivered"', Comparison("state", Operator.NOT_EQUAL, "DELIVERED")),
        ("attempt >= 2", B),
        ("attempt>-1.5", Comparison("attempt", Operator.GREATER, -1.5)),
        ("test = true", C),
        ("test = false", Comparison("test", Operator.EQUAL, False)),
        (
            "create_time <= 2024-05-01T12:00:00Z",
            Comparison("create_time", Operator.AT_MOST, datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ),
        (
            'create_time > "2024-05-01T12:00:00+02:00"',
            Comparison("create_time", Operator.GREATER, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ),
        (f'environment_id = "{ID}"', Comparison("environment_id", Operator.EQUAL, UUID(ID))),
        ("name = a AND attempt >= 2", And((A, B))),
        ("name = a OR attempt >= 2 OR test = true", Or((A, B, C))),
        ("name = a AND attempt >= 2 OR test = true", And((A, Or((B, C))))),
        ("(name = a AND attempt >= 2) OR test = true", Or((And((A, B)), C))),
        ("NOT name = a", Not(A)),
        ("-name = a", Not(A)),
        ("-(name = a)", Not(A)),
        ("NOT (name = a OR NOT attempt >= 2)", Not(Or((A, Not(B))))),
        ("((name = a))", A),
        (
            'args.event.id = "7"',
            Comparison("args", Operator.EQUAL, "7", ("event", "id")),
        ),
        ("args.n = 7", Comparison("args", Operator.EQUAL, 7, ("n",))),
        ("args.n < -1.5e3", Comparison("args", Operator.LESS, -1500.0, ("n",))),
        ("args.n = true", Comparison("args", Operator.EQUAL, True, ("n",))),
        ('args.n = "true"', Comparison("args", Operator.EQUAL, "true", ("n",))),
        ("args.n = null", Comparison("args", Operator.EQUAL, "null", ("n",))),
        ('tags:"a b"', Comparison("tags", Operator.HAS, "a b")),
        ("tags : a", Comparison("tags", Operator.HAS, "a")),
        ("-tags:a", Not(Comparison("tags", Operator.HAS, "a"))),
        ("tags:*", Comparison("tags", Operator.PRESENT, True)),
        ('tags:"*"', Comparison("tags", Operator.HAS, "*")),
        ("args.list:7", Comparison("args", Operator.HAS, 7, ("list",))),
        ("args.list:*", Comparison("args", Operator.PRESENT, True, ("list",))),
        ("args:list", Comparison("args", Operator.HAS, "list")),
        (f"args.a.0 = {ID}", Comparison("args", Operator.EQUAL, ID, ("a", "0"))),
    ],
)
def test_reads(text: str, tree: object) -> None:
    assert parse_filter(text, FIELDS) == tree


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("nam = a", 1, "known are name, state"),
        ("name", 5, "expected ="),
        ("name =", 7, "expected a value"),
        ("name = a attempt = 2", 10, "expected AND, OR"),
        ("name = a AND", 13, "name of a field"),
        ("AND name = a", 1, "name of a field"),
        ("name = a OR OR name = b", 13, "name of a field"),
        ("(name = a", 1, "not closed"),
        ("name = a)", 9, "not opened"),
        ('name = "a', 8, "does not end"),
        ("name : a", 6, "holds one value"),
        ("name:*", 5, "holds one value"),
        ("state:PENDING", 6, "= and != only"),
        ("tags = a", 6, "with : only"),
        ("tags:", 6, "expected a value"),
        ("tags:a:b", 7, "expected AND, OR"),
        ("tags.first:a", 1, "known are name, state"),
        ("args.:a", 1, "a path such as args.member"),
        ("name = a, attempt = 2", 9, "not understood"),
        ("attempt = two", 11, "a number"),
        ("attempt = nan", 11, "a number"),
        ("attempt = 1e999", 11, "a number"),
        ("test = 1", 8, "true or false"),
        ("test > true", 6, "= and != only"),
        ("state > PENDING", 7, "= and != only"),
        ("state = RUNNING", 9, "PENDING, DELIVERED"),
        ("create_time > yesterday", 15, "a time such as"),
        ("create_time > 2024-05-01", 15, "a time such as"),
        ("environment_id = dev", 18, "an id"),
        ('name = "a\x00b"', 8, "a text"),
        ("args = 1", 1, "a path such as args.member"),
        ("args. = 1", 1, "a path such as args.member"),
        ("args..a = 1", 1, "a path such as args.member"),
        ("args.a\x00b = 1", 1, "a path such as args.member"),
        ("args" + ".a" * 31 + " = 1", 1, "more than 30 members"),
        ("name.first = a", 1, "known are name, state"),
        ("()", 2, "name of a field"),
        ("NOT NOT name = a", 5, "name of a field"),
        ("(" * 21 + "name = a" + ")" * 21, 21, "20 levels"),
    ],
)
def test_refuses_and_says_where(text: str, position: int, said: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_filter(text, FIELDS)
    assert caught.value.field == "filter"
    assert said in caught.value.description
    assert f"character {position}:" in caught.value.description


def test_names_the_fields_of_a_filter() -> None:
    tree = parse_filter("NOT (name = a OR attempt = 1) AND args.x = 1", FIELDS)
    assert tree is not None
    assert fields_of(tree) == {"name", "attempt", "args"}


@pytest.mark.parametrize("text", ["a" * 4_097, " OR ".join(["attempt = 1"] * 101)])
def test_refuses_what_is_too_long(text: str) -> None:
    with pytest.raises(InvalidField):
        parse_filter(text, FIELDS)


@given(st.text(alphabet="()=<>!\"'\\-: ANDORTnamestat1.é\n", max_size=60))
def test_never_fails_in_another_way(text: str) -> None:
    try:
        parse_filter(text, FIELDS)
    except InvalidField as error:
        assert error.field == "filter"  # noqa: PT017


TABLE = Table(
    "things",
    MetaData(),
    Column("name", String),
    Column("attempt", Integer),
    Column("test", Boolean),
    Column("created_at", DateTime(timezone=True)),
    Column("environment_id", Uuid),
    Column("delivered_at", DateTime(timezone=True)),
)


def _state(comparison: Comparison) -> ColumnElement[bool]:
    delivered = TABLE.c.delivered_at.is_not(None)
    wants_delivered = (comparison.value == "DELIVERED") is (comparison.operator is Operator.EQUAL)
    return delivered if wants_delivered else TABLE.c.delivered_at.is_(None)


TARGETS: dict[str, FilterTarget] = {
    "name": TABLE.c.name,
    "attempt": TABLE.c.attempt,
    "test": TABLE.c.test,
    "create_time": TABLE.c.created_at,
    "environment_id": TABLE.c.environment_id,
    "state": _state,
}


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("name = a", "things.name = %(name_1)s"),
        ("name != a", "things.name IS DISTINCT FROM %(name_1)s"),
        (
            "NOT (name = a OR attempt > 2)",
            "NOT coalesce(things.name = %(name_1)s OR things.attempt > %(attempt_1)s, false)",
        ),
        ("state = PENDING", "things.delivered_at IS NULL"),
        ("NOT state = PENDING", "NOT coalesce(things.delivered_at IS NULL, false)"),
    ],
)
def test_becomes_a_condition_with_parameters(text: str, sql: str) -> None:
    tree = parse_filter(text, FIELDS)
    assert tree is not None
    condition = filter_condition(tree, TARGETS)
    compiled = str(condition.compile(dialect=create_engine("postgresql+psycopg://").dialect))
    assert compiled.replace("::VARCHAR", "").replace("::INTEGER", "") == sql
