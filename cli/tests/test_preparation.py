"""When a warm start may skip migrations and bootstrap."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from kongflow_cli.local.preparation import Preparation
from kongflow_embedded.temporary import temporary_postgres


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with temporary_postgres() as postgres:
        yield postgres.server.url()


@pytest.fixture
def done(tmp_path: Path, database_url: str) -> Preparation:
    """A database at revision 0001, remembered."""
    run(database_url, "DROP SCHEMA IF EXISTS events CASCADE")
    run(database_url, "CREATE SCHEMA events")
    run(database_url, "CREATE TABLE events.alembic_version (version_num text)")
    run(database_url, "INSERT INTO events.alembic_version VALUES ('0001')")
    sources = tmp_path / "migrations"
    (sources / "versions").mkdir(parents=True)
    (sources / "versions" / "0001.py").write_text("one")
    preparation = Preparation(
        mark=tmp_path / "prepared.json",
        database_url=database_url,
        schemas=["events"],
        sources=[sources],
        given={"key": "secret"},
    )
    assert preparation.earlier_answer() is None
    preparation.remember(b'{"api_key": "k"}')
    return preparation


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_nothing_changed(done: Preparation) -> None:
    assert done.earlier_answer() == b'{"api_key": "k"}'


def test_a_new_migration(done: Preparation) -> None:
    (done.sources[0] / "versions" / "0002.py").write_text("two")
    assert done.earlier_answer() is None


def test_a_changed_migration(done: Preparation) -> None:
    (done.sources[0] / "versions" / "0001.py").write_text("changed")
    assert done.earlier_answer() is None


def test_other_keys(done: Preparation) -> None:
    assert replace(done, given={"key": "other"}).earlier_answer() is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events.alembic_version SET version_num = '0000'",
        "DELETE FROM events.alembic_version",
        "DROP TABLE events.alembic_version",
        "DROP SCHEMA events CASCADE",
    ],
)
def test_a_database_taken_back(done: Preparation, database_url: str, statement: str) -> None:
    run(database_url, statement)
    assert done.earlier_answer() is None


def test_a_damaged_mark(done: Preparation) -> None:
    done.mark.write_text("{")
    assert done.earlier_answer() is None


def test_no_database(done: Preparation) -> None:
    assert replace(done, database_url="postgresql://127.0.0.1:1/x").earlier_answer() is None
