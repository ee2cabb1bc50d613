"""A whole system under the real supervisor: how it comes up, is watched, and ends."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from kongflow_cli.local.state_folder import StateFolder
from kongflow_embedded.processes import process_identity

if TYPE_CHECKING:
    from cli.tests.conftest import System

Start = Callable[..., "System"]
STAND_IN_SYSTEM = str(Path(__file__).with_name("stand_in_system.py"))
EVERYTHING = {"postgres", "valkey", "alpha", "beta"}


def is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def test_ready_system_says_how_to_reach_it(start: Start, state: StateFolder) -> None:
    system = start().wait_ready()
    connection = system.connection
    assert set(connection) == {
        *("api_key", "public_key", "operator_token", "grpc", "http"),
        *("database_url", "redis_url", "pids"),
    }
    assert stat.S_IMODE(state.connection_file.stat().st_mode) == 0o600
    assert connection["http"] is None
    assert set(connection["pids"]) == EVERYTHING
    assert all(is_listening(address) for address in connection["grpc"].values())
    with psycopg.connect(connection["database_url"], connect_timeout=5) as database:
        assert database.execute("SELECT current_database()").fetchone() == ("kongflow",)
    (line,) = [line for line in system.output.splitlines() if "ready in" in line]
    assert all(address in line for address in connection["grpc"].values())


def test_secrets_stay_out_of_logs_and_of_others_reach(start: Start, state: StateFolder) -> None:
    system = start().wait_ready()
    secrets = json.loads(state.secret_file.read_text())
    system.end()
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(state.secret_file.stat().st_mode) == 0o600
    written = system.output + "".join(log.read_text() for log in state.logs.iterdir())
    for name in ("api_key", "operator_token", "postgres_password", "valkey_password"):
        assert secrets[name] not in written, name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(
    start: Start, state: StateFolder, number: signal.Signals
) -> None:
    system = start().wait_ready()
    pids = system.pids
    system.send(number)
    assert system.wait_end() == 0
    assert [name for name, pid in pids.items() if process_identity(pid)] == []
    assert not state.connection_file.exists()
    assert system.output.count("drained") == 2
    assert "shut down" in (state.logs / "postgres.log").read_text()


def test_a_dead_service_comes_back_on_its_port(start: Start) -> None:
    system = start().wait_ready()
    before = system.connection
    os.kill(before["pids"]["alpha"], signal.SIGKILL)
    system.eventually(
        lambda: system.pids["alpha"] != before["pids"]["alpha"], "a new process in dev.json"
    )
    system.eventually(lambda: "alpha is back" in system.output, "alpha serving again")
    after = system.connection
    assert after["grpc"] == before["grpc"]
    assert is_listening(after["grpc"]["alpha"])
    unharmed = EVERYTHING - {"alpha"}
    assert {name: after["pids"][name] for name in unharmed} == {
        name: before["pids"][name] for name in unharmed
    }
    assert "killed by SIGKILL" in system.output


def test_dead_stores_come_back_with_their_data(start: Start) -> None:
    system = start().wait_ready()
    before = system.connection
    with psycopg.connect(before["database_url"], connect_timeout=5) as database:
        database.execute("CREATE TABLE kept (n int)")
        database.execute("INSERT INTO kept VALUES (42)")
    for name in ("postgres", "valkey"):
        os.kill(before["pids"][name], signal.SIGKILL)
    system.eventually(lambda: "postgres is back" in system.output, "PostgreSQL back")
    system.eventually(lambda: "valkey is back" in system.output, "Valkey back")
    assert system.connection["database_url"] == before["database_url"]
    with psycopg.connect(before["database_url"], connect_timeout=5) as database:
        assert database.execute("SELECT n FROM kept").fetchone() == (42,)


def test_children_do_not_outlive_a_killed_supervisor_and_the_next_start_recovers(
    start: Start, state: StateFolder
) -> None:
    first = start().wait_ready()
    before = first.connection
    first.send(signal.SIGKILL)
    first.wait_end()
    first.wait_gone(before["pids"])
    assert state.connection_file.exists()
    second = start().wait_ready()
    second.eventually(lambda: second.pids != before["pids"], "the new processes in dev.json")
    assert second.connection["grpc"] == before["grpc"]
    assert second.connection["api_key"] == before["api_key"]


def test_a_process_that_ignored_the_end_is_ended_by_the_next_start(start: Start) -> None:
    first = start("stubborn").wait_ready()
    mule = first.pids["mule"]
    first.send(signal.SIGKILL)
    first.wait_end()
    assert process_identity(mule) is not None
    second = start().wait_ready()
    assert process_identity(mule) is None
    # Its server ends by itself, and may have ended already.
    assert re.search(r"left behind: .*\bmule\b", second.output)


def test_a_reused_process_id_is_left_alone(start: Start, state: StateFolder) -> None:
    state.make()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        mark = {"pid": stranger.pid, "identity": "of an earlier process"}
        (state.path / "processes.json").write_text(json.dumps({"alpha": mark}))
        start().wait_ready()
        assert stranger.poll() is None
        stranger.kill()


def test_one_system_per_state_folder(start: Start) -> None:
    first = start().wait_ready()
    second = start()
    assert second.wait_end() == 1
    assert f"A system already runs in {first.state.path} (process {first.process.pid})" in (
        second.output
    )
    assert first.process.poll() is None


def test_two_state_folders_are_two_systems(
    start: Start, start_named_elsewhere: Callable[[str], "System"]
) -> None:
    first, second = start(), start_named_elsewhere("other")
    ports = [set(each.wait_ready().connection["grpc"].values()) for each in (first, second)]
    assert not ports[0] & ports[1]
    second.end()
    assert all(is_listening(address) for address in first.connection["grpc"].values())


def test_a_kept_port_that_somebody_else_took_is_replaced(start: Start, state: StateFolder) -> None:
    system = start().wait_ready()
    before = system.connection["grpc"]
    system.end()
    host, _, port = before["alpha"].rpartition(":")
    with socket.create_server((host, int(port))):
        after = start().wait_ready().connection["grpc"]
    assert after["alpha"] != before["alpha"]
    assert after["beta"] == before["beta"]


def test_a_failing_migration_ends_the_start(start: Start, state: StateFolder) -> None:
    system = start("bad-migration")
    assert system.wait_end() == 1
    assert "migrate-alpha failed (exit code 1)" in system.output
    assert "no such table" in system.output
    assert "Traceback" not in system.output
    assert not state.connection_file.exists()
    assert state.leftovers() == {}


def test_a_service_that_cannot_start_is_told_with_its_last_lines(start: Start) -> None:
    system = start("dies")
    assert system.wait_end() == 1
    assert "beta does not start (exit code 1)" in system.output
    assert "beta cannot work here" in system.output.split("Its last lines:")[1]
    assert "Traceback" not in system.output
    assert system.state.leftovers() == {}


def test_a_service_that_cannot_use_its_settings_is_not_started_again(start: Start) -> None:
    system = start("misconfigured")
    assert system.wait_end() == 2
    assert "beta cannot use its settings (exit code 2)" in system.output
    assert "slots: is no number" in system.output.split("Its last lines:")[1]
    assert "starting again" not in system.output
    assert system.state.leftovers() == {}


def test_a_task_that_cannot_use_its_settings_has_its_exit_code(start: Start) -> None:
    system = start("misconfigured-migration")
    assert system.wait_end() == 2
    assert "migrate-alpha failed (exit code 2)" in system.output


def test_a_service_that_served_is_started_again_whatever_ended_it(start: Start) -> None:
    system = start().wait_ready()
    os.kill(system.pids["alpha"], signal.SIGUSR1)
    system.eventually(lambda: "alpha is back" in system.output, "alpha serving again")
    assert "alpha ended (exit code 2)" in system.output


def test_a_service_that_never_serves_ends_the_start_in_time(start: Start) -> None:
    begin = time.monotonic()
    system = start("never-ready", seconds=15)
    system.eventually(lambda: "Not ready after 15 seconds" in system.output, "giving up")
    # They ignore the orderly end; once more to hurry.
    system.send(signal.SIGINT)
    assert system.wait_end() == 1
    assert "waiting for alpha, beta" in system.output
    assert time.monotonic() - begin < 45
    assert system.state.leftovers() == {}


def test_a_process_without_listeners_is_waited_for_until_it_says_that_it_works(
    start: Start,
) -> None:
    system = start("mute", seconds=15)
    assert system.wait_end() == 1
    assert "Not ready after 15 seconds: waiting for mule." in system.output


def test_a_second_signal_hurries(start: Start) -> None:
    system = start("stubborn").wait_ready()
    mule = system.pids["mule"]
    system.send(signal.SIGINT)
    system.eventually(lambda: system.output.count("drained") == 2, "the services' end")
    assert process_identity(mule) is not None
    begin = time.monotonic()
    system.send(signal.SIGINT)
    assert system.wait_end() == 0
    assert time.monotonic() - begin < 10
    assert process_identity(mule) is None


def test_a_signal_while_starting_ends_what_was_started(start: Start, state: StateFolder) -> None:
    system = start()
    system.eventually((state.path / "processes.json").exists, "the first process")
    system.eventually(lambda: bool(system.recorded_pids()), "the first process")
    pids = system.recorded_pids()
    system.send(signal.SIGTERM)
    assert system.wait_end() == 0
    assert [name for name, pid in pids.items() if process_identity(pid)] == []


def test_a_reader_that_goes_away_does_not_end_the_system(start: Start, state: StateFolder) -> None:
    state.make()
    reading, writing = os.pipe()
    with open(writing, "wb") as target:  # noqa: PTH123
        process = subprocess.Popen(
            [sys.executable, STAND_IN_SYSTEM, str(state.path), "plain", "60"],
            stdout=target,
            start_new_session=True,
        )
    os.close(reading)
    try:
        deadline = time.monotonic() + 60
        while not state.connection_file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.terminate()
        assert process.wait(30) == 0
