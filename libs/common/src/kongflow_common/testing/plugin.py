"""A pytest plugin with real servers: `pytest_plugins = ["kongflow_common.testing.plugin"]`.

    async def test_something(database_url: str) -> None: ...

The servers are started once, when the first test asks for one; nothing need be installed.
"""

import secrets
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.worker_queue import RecordingWorkerQueue

if TYPE_CHECKING:
    from kongflow_embedded.postgres import PostgresServer
    from kongflow_embedded.temporary import RunningServer
    from kongflow_embedded.valkey import ValkeyServer

__all__ = [
    "database_url",
    "fixed_clock",
    "new_database_url",
    "postgres_server",
    "valkey_server",
    "valkey_url",
    "worker_queue",
]


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[RunningServer[PostgresServer]]":
    """A PostgreSQL server for the whole run. A test that stops it must start it again."""
    from kongflow_embedded.temporary import temporary_postgres  # noqa: PLC0415

    # Surviving a kill needs no fsync, and nobody cuts the power of a test.
    with temporary_postgres({"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def database_url(postgres_server: "RunningServer[PostgresServer]") -> Iterator[str]:
    """The URL of an empty database that the tests of one module share."""
    yield from _database(postgres_server)


@pytest.fixture
def new_database_url(postgres_server: "RunningServer[PostgresServer]") -> Iterator[str]:
    """The URL of an empty database for one test alone."""
    yield from _database(postgres_server)


@pytest.fixture(scope="session")
def valkey_server() -> "Iterator[RunningServer[ValkeyServer]]":
    """A Valkey server for the whole run. A test that stops it must start it again."""
    from kongflow_embedded.temporary import temporary_valkey  # noqa: PLC0415

    with temporary_valkey() as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: "RunningServer[ValkeyServer]") -> str:
    """The URL of the Valkey server, emptied."""
    server = valkey_server.server
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"AUTH {server.password}\r\nFLUSHALL\r\n".encode())
        answer = b""
        while answer.count(b"\r\n") < 2:
            received = connection.recv(1024)
            if not received:
                break
            answer += received
    if answer != b"+OK\r\n+OK\r\n":
        raise RuntimeError(f"Valkey could not be emptied: {answer!r}")
    return server.url()


@pytest.fixture
def fixed_clock() -> FixedClock:
    """A clock that stands still."""
    return FixedClock()


@pytest.fixture
def worker_queue() -> RecordingWorkerQueue:
    """A worker queue that remembers what it was given."""
    return RecordingWorkerQueue()


def _database(server: "RunningServer[PostgresServer]") -> Iterator[str]:
    import psycopg  # noqa: PLC0415
    from psycopg import sql  # noqa: PLC0415

    name = f"test_{secrets.token_hex(6)}"
    admin = server.server.url("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield server.server.url(name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
