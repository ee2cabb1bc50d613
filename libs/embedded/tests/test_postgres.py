"""The PostgreSQL launcher, on real servers."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from kongflow_embedded.errors import NotReadyError
from kongflow_embedded.launch import start, stop
from kongflow_embedded.ports import free_ports
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.processes import process_identity
from kongflow_embedded.temporary import RunningServer, temporary_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningServer[PostgresServer]]:
    with temporary_postgres() as running:
        yield running


def query(url: str, statement: str) -> str:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return str(row[0])


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while process_identity(pid) is not None:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def test_server_is_postgresql_18_with_unicode_rules_and_safe_settings(
    postgres: RunningServer[PostgresServer],
) -> None:
    url = postgres.server.url()
    assert query(url, "SHOW server_version_num") >= "180000"
    assert query(url, "SELECT upper('ärger')") == "ÄRGER"
    assert query(url, "SHOW fsync") == "on"
    assert query(url, "SHOW synchronous_commit") == "on"
    assert query(url, "SHOW max_connections") == "200"
    assert query(url, "SHOW timezone") == "UTC"


def test_wrong_password_is_refused(postgres: RunningServer[PostgresServer]) -> None:
    url = postgres.server.url().replace(postgres.server.password, "guess")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(url, connect_timeout=5)


def test_server_listens_on_loopback_only(postgres: RunningServer[PostgresServer]) -> None:
    assert query(postgres.server.url(), "SHOW listen_addresses") == "127.0.0.1"
    assert query(postgres.server.url(), "SHOW unix_socket_directories") == ""


def test_settings_can_be_overridden() -> None:
    with temporary_postgres({"max_connections": "17"}) as running:
        assert query(running.server.url(), "SHOW max_connections") == "17"


def test_committed_rows_survive_a_crash() -> None:
    with temporary_postgres() as running:
        url = running.server.url()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        running.kill()
        running.start()
        assert query(url, "SELECT count(*) FROM kept") == "1000"


def test_a_killed_server_s_sessions_work_no_longer() -> None:
    with (
        temporary_postgres() as running,
        closing(psycopg.connect(running.server.url(), autocommit=True)) as connection,
    ):
        [pid] = connection.execute("SELECT pg_backend_pid()").fetchone() or [0]
        # It looks around only when it is done.
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        running.kill()
        wait_until_gone(pid)


def test_nothing_is_left_after_the_block() -> None:
    with temporary_postgres() as running:
        folder, pid = running.server.folder, running.pid
    assert not folder.exists()
    assert process_identity(pid) is None


def test_data_lies_in_the_folder_that_was_named_and_nothing_else_is_opened_up(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    server = PostgresServer(
        folder=home / "state" / "postgres",
        port=free_ports(1)[0],
        password="secret",
        database="kongflow",
        sync_new_files=False,
    )
    server.prepare()
    process = start(server.launch(), stderr=subprocess.DEVNULL)
    try:
        server.wait_ready(20, lambda: process.poll() is None)
        assert query(server.url(), "SELECT current_database()") == "kongflow"
    finally:
        assert stop(process, server.launch().stop_signal) == 0
    assert (server.data_folder / "PG_VERSION").exists()
    for folder in (home, server.folder, server.data_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_a_half_made_data_folder_is_made_again(tmp_path: Path) -> None:
    server = PostgresServer(
        folder=tmp_path, port=free_ports(1)[0], password="secret", sync_new_files=False
    )
    (tmp_path / "data.unfinished" / "base").mkdir(parents=True)
    server.prepare()
    assert (server.data_folder / "PG_VERSION").exists()
    assert not (tmp_path / "data.unfinished").exists()


def test_a_process_id_reused_by_somebody_else_does_not_block_the_start() -> None:
    with temporary_postgres() as running:
        running.kill()
        pid_file = running.server.data_folder / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        # Runs as the server's own user, the case in which PostgreSQL itself would give up.
        account = running.server.launch().account
        with subprocess.Popen(
            ["sleep", "60"], user=account.uid if account else None, start_new_session=True
        ) as stranger:
            try:
                pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
                running.start()
                assert query(running.server.url(), "SELECT 1") == "1"
                assert stranger.poll() is None
            finally:
                stranger.kill()


def test_a_server_left_over_on_the_same_data_is_ended_first() -> None:
    with temporary_postgres() as running, tempfile.TemporaryFile() as log:
        second = RunningServer(running.server, log)
        leftover = running.pid
        second.start()
        try:
            assert process_identity(leftover) is None
            assert query(running.server.url(), "SELECT 1") == "1"
        finally:
            second.stop()


def test_a_taken_port_ends_the_wait_at_once() -> None:
    with (
        temporary_postgres() as running,
        socket.socket() as silent,
        tempfile.TemporaryFile() as log,
    ):
        running.stop()
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = replace(running.server, port=silent.getsockname()[1])
        begin = time.monotonic()
        with pytest.raises(
            NotReadyError, match=r"(?s)ended while it was starting.*Address already"
        ):
            RunningServer(server, log).start()
        assert time.monotonic() - begin < 10


def test_server_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from kongflow_embedded.temporary import temporary_postgres\n"
        "with temporary_postgres() as running:\n"
        "    print(running.pid, running.server.folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline().split()[0])
        assert process_identity(pid) is not None
        starter.send_signal(signal.SIGKILL)
    wait_until_gone(pid)
