"""Migrations, on a context made up for the purpose."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from kongflow_common.db import migrate
from kongflow_common.outbox.table import outbox_table

FIRST = """
    revision = "0001"
    down_revision = None

    import sqlalchemy as sa
    from alembic import op
    from kongflow_common.db.triggers import add_updated_at_trigger, create_updated_at_function
    from kongflow_common.outbox.migration import create_outbox_table

    def upgrade() -> None:
        create_updated_at_function("shop")
        op.create_table(
            "goods",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("updated_at", sa.DateTime(timezone=True), server_default="2020-01-01"),
            schema="shop",
        )
        add_updated_at_trigger("shop", "goods")
        create_outbox_table("shop")

    def downgrade() -> None:
        op.drop_table("goods", schema="shop")
        op.drop_table("outbox", schema="shop")
        op.execute("DROP FUNCTION shop.update_updated_at_column()")
"""
SECOND = """
    revision: str = "0002"
    down_revision: str | None = "0001"

    from alembic import op

    def upgrade() -> None:
        op.execute("ALTER TABLE shop.goods ADD COLUMN name text")

    def downgrade() -> None:
        op.execute("ALTER TABLE shop.goods DROP COLUMN name")
"""
ENV = """
    import sqlalchemy as sa
    from kongflow_common.db.env import run_migrations

    run_migrations(sa.MetaData(schema="shop"))
"""


@pytest.fixture
def url(new_database_url: str) -> str:
    return new_database_url


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "100% migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(dedent(ENV))
    (folder / "versions" / "0001_goods.py").write_text(dedent(FIRST))
    (folder / "versions" / "0002_name.py").write_text(dedent(SECOND))
    return folder


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connected:
        yield connected


def _columns(connection: psycopg.Connection) -> list[str]:
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = 'shop' AND table_name = 'goods' ORDER BY 1"
    )
    return [name for (name,) in found]


def test_up_and_down_and_where_it_stands(
    url: str, scripts: Path, connection: psycopg.Connection
) -> None:
    assert migrate.current(url, "shop") is None
    migrate.upgrade(url, scripts, "shop", "0001")
    assert migrate.current(url, "shop") == "0001"
    assert _columns(connection) == ["id", "updated_at"]
    migrate.upgrade(url, scripts, "shop")
    assert migrate.current(url, "shop") == "0002"
    assert _columns(connection) == ["id", "name", "updated_at"]
    migrate.downgrade(url, scripts, "shop", "0001")
    assert _columns(connection) == ["id", "updated_at"]
    migrate.downgrade(url, scripts, "shop", "base")
    assert migrate.current(url, "shop") is None
    assert _columns(connection) == []


def test_everything_stands_in_the_contexts_schema(
    url: str, scripts: Path, connection: psycopg.Connection
) -> None:
    migrate.upgrade(url, scripts, "shop")
    elsewhere = connection.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    ).fetchone()
    assert elsewhere == (0,)


def test_updated_at_is_kept(url: str, scripts: Path, connection: psycopg.Connection) -> None:
    migrate.upgrade(url, scripts, "shop")
    connection.execute("INSERT INTO shop.goods (id) VALUES (1)")
    changed = connection.execute(
        "UPDATE shop.goods SET name = 'x' RETURNING updated_at = now()"
    ).fetchone()
    assert changed == (True,)


def test_the_outbox_is_what_its_table_declares(url: str, scripts: Path) -> None:
    migrate.upgrade(url, scripts, "shop")
    declared = sa.MetaData(schema="shop")
    outbox_table(declared, "shop")
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connected:
        context = MigrationContext.configure(
            connected,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "compare_server_default": True,
                "include_object": lambda item, name, kind, *_: kind != "table" or name == "outbox",
            },
        )
        assert compare_metadata(context, declared) == []
        # Alembic compares no conditions.
        defined = sa.inspect(connected).get_check_constraints("outbox", schema="shop")
        checks = {check.name for check in declared.tables["shop.outbox"].constraints if check.name}
        assert {each["name"] for each in defined} == checks - {"outbox_pkey"}
    engine.dispose()


def test_at_the_newest_revision_nothing_is_run(
    url: str, scripts: Path, connection: psycopg.Connection
) -> None:
    migrate.upgrade(url, scripts, "shop")
    (scripts / "env.py").write_text("raise RuntimeError('must not be read')")
    with connection.transaction():
        connection.execute(_TAKE_MIGRATORS_LOCK)
        migrate.upgrade(url, scripts, "shop")


_TAKE_MIGRATORS_LOCK = (
    "SELECT pg_advisory_xact_lock(hashtext('kongflow.migrate'), hashtext('shop'))"
)


def _wait_for(connection: psycopg.Connection, condition: str) -> None:
    deadline = threading.Event()
    for _ in range(1000):
        found = connection.execute(
            f"SELECT FROM pg_stat_activity WHERE application_name = 'kongflow-migrate' "
            f"AND {condition}"
        )
        if found.fetchone() is not None:
            return
        deadline.wait(0.01)
    raise AssertionError(f"no migrator with {condition}")


def test_migrators_take_turns(url: str, scripts: Path, connection: psycopg.Connection) -> None:
    with ThreadPoolExecutor(2) as threads:
        with psycopg.connect(url) as holder:
            holder.execute(_TAKE_MIGRATORS_LOCK)
            first = threads.submit(migrate.upgrade, url, scripts, "shop")
            _wait_for(connection, "wait_event = 'advisory'")
            assert _columns(connection) == []
        first.result(30)
        again = [threads.submit(migrate.upgrade, url, scripts, "shop") for _ in range(2)]
        for each in again:
            each.result(30)
    assert migrate.current(url, "shop") == "0002"


def test_a_table_in_use_is_asked_for_again(
    url: str, scripts: Path, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "100ms")
    paused = threading.Event()
    released = threading.Event()

    def pause(_seconds: float) -> None:
        paused.set()
        released.wait(30)

    monkeypatch.setattr("kongflow_common.db.migrate.time.sleep", pause)
    migrate.upgrade(url, scripts, "shop", "0001")
    with ThreadPoolExecutor(1) as threads:
        with psycopg.connect(url) as reader:
            reader.execute("SELECT * FROM shop.goods")
            running = threads.submit(migrate.upgrade, url, scripts, "shop")
            assert paused.wait(30)
        released.set()
        running.result(30)
    assert _columns(connection) == ["id", "name", "updated_at"]


def test_a_failing_step_leaves_the_ones_before(
    url: str, scripts: Path, connection: psycopg.Connection
) -> None:
    broken = scripts / "versions" / "0002_name.py"
    broken.write_text(dedent(SECOND).replace("ADD COLUMN name text", "ADD COLUMN name wrong"))
    with pytest.raises(sa.exc.ProgrammingError):
        migrate.upgrade(url, scripts, "shop")
    assert migrate.current(url, "shop") == "0001"
    # Its lock is gone with it.
    broken.write_text(dedent(SECOND))
    migrate.upgrade(url, scripts, "shop")
    assert _columns(connection) == ["id", "name", "updated_at"]


def _without_second(text: str) -> str:
    return text.replace('"0001"', '"0000"')


@pytest.mark.parametrize("change", [_without_second, lambda text: text.replace('"0002"', '"0001"')])
def test_the_newest_revision_must_be_one(scripts: Path, change: Callable[[str], str]) -> None:
    assert migrate.head(scripts) == "0002"
    script = scripts / "versions" / "0002_name.py"
    script.write_text(change(script.read_text()))
    with pytest.raises(ValueError, match="newest revisions"):
        migrate.head(scripts)
