"""`kongflow up --detach`, `down` and `reset`, and what mistakes get."""

import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import pytest

from kongflow_cli.local.state_folder import StateFolder
from kongflow_embedded.processes import process_identity
from kongflow_embedded.temporary import temporary_postgres

if TYPE_CHECKING:
    from cli.tests.conftest import System

Start = Callable[..., "System"]
Kongflow = Callable[..., subprocess.CompletedProcess[str]]


def state_dir(state: StateFolder) -> tuple[str, str]:
    return ("--state-dir", str(state.path))


def is_a_sentence(text: str) -> bool:
    return text.startswith("kongflow: ") and "Traceback" not in text and len(text) < 400


def test_down_ends_the_system_and_waits(
    start: Start, state: StateFolder, kongflow: Kongflow
) -> None:
    system = start().wait_ready()
    pids = system.pids
    result = kongflow("down", *state_dir(state))
    assert (result.returncode, result.stderr) == (0, "")
    assert "has ended" in result.stdout
    assert [name for name, pid in pids.items() if process_identity(pid)] == []
    assert system.wait_end() == 0


def test_down_without_a_system_is_content(state: StateFolder, kongflow: Kongflow) -> None:
    result = kongflow("down", *state_dir(state))
    assert (result.returncode, result.stderr) == (0, "")
    assert "No system runs" in result.stdout
    assert not state.path.exists()


def test_down_ends_what_a_killed_supervisor_left(
    start: Start, state: StateFolder, kongflow: Kongflow
) -> None:
    system = start("stubborn").wait_ready()
    mule = system.pids["mule"]
    system.send(signal.SIGKILL)
    system.wait_end()
    result = kongflow("down", *state_dir(state))
    assert (result.returncode, result.stderr) == (0, "")
    assert "left behind" in result.stdout
    assert process_identity(mule) is None
    assert not state.connection_file.exists()


def test_down_leaves_a_reused_process_id_alone(state: StateFolder, kongflow: Kongflow) -> None:
    state.make()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (state.path / "lock").write_text(
            f'{{"pid": {stranger.pid}, "identity": "of an earlier process"}}'
        )
        assert kongflow("down", *state_dir(state)).returncode == 0
        assert stranger.poll() is None
        stranger.kill()


def test_reset_refuses_while_the_system_runs(
    start: Start, state: StateFolder, kongflow: Kongflow
) -> None:
    start().wait_ready()
    result = kongflow("reset", "--yes", *state_dir(state))
    assert result.returncode == 1
    assert is_a_sentence(result.stderr)
    assert "kongflow down" in result.stderr
    assert (state.postgres / "data" / "PG_VERSION").exists()


def test_reset_empties_the_data_and_keeps_keys_and_ports(
    start: Start, state: StateFolder, kongflow: Kongflow
) -> None:
    system = start().wait_ready()
    before = system.connection
    with psycopg.connect(before["database_url"], connect_timeout=5) as database:
        database.execute("CREATE TABLE kept (n int)")
    system.end()
    assert kongflow("reset", "--yes", *state_dir(state)).returncode == 0
    assert not state.postgres.exists()
    after = start().wait_ready().connection
    with psycopg.connect(after["database_url"], connect_timeout=5) as database:
        assert database.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    same = ("api_key", "operator_token", "grpc", "database_url")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


@pytest.mark.parametrize("answer", ["", "n\n", "\n"])
def test_reset_asks_first(state: StateFolder, kongflow: Kongflow, answer: str) -> None:
    state.make()
    state.postgres.mkdir()
    result = kongflow("reset", *state_dir(state), answer=answer)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert state.postgres.exists()


def test_reset_takes_yes_for_an_answer(state: StateFolder, kongflow: Kongflow) -> None:
    state.make()
    state.postgres.mkdir()
    assert kongflow("reset", *state_dir(state), answer="y\n").returncode == 0
    assert not state.postgres.exists()


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_reset_refuses_while_a_server_of_the_users_is_named(
    state: StateFolder, kongflow: Kongflow, name: str
) -> None:
    state.make()
    state.postgres.mkdir()
    result = kongflow("reset", "--yes", *state_dir(state), env={name: "anything"})
    assert result.returncode == 1
    assert is_a_sentence(result.stderr)
    assert state.postgres.exists()


def test_reset_refuses_what_was_last_started_on_a_server_of_the_users(
    state: StateFolder, kongflow: Kongflow
) -> None:
    state.make()
    (state.path / "outside.json").write_text('{"names": ["DATABASE_URL"]}')
    result = kongflow("reset", "--yes", *state_dir(state))
    assert result.returncode == 1
    assert "last started with DATABASE_URL" in result.stderr


def test_reset_without_a_system_says_so(state: StateFolder, kongflow: Kongflow) -> None:
    result = kongflow("reset", "--yes", *state_dir(state))
    assert result.returncode == 1
    assert is_a_sentence(result.stderr)
    assert not state.path.exists()


@pytest.mark.parametrize("arguments", [("up",), ("up", "--detach"), ("down",), ("reset", "--yes")])
def test_a_folder_of_the_users_is_left_as_it_is(
    state: StateFolder, kongflow: Kongflow, arguments: tuple[str, ...]
) -> None:
    state.postgres.mkdir(parents=True)
    state.path.chmod(0o755)
    theirs = state.postgres / "theirs"
    theirs.write_text("precious")
    result = kongflow(*arguments, *state_dir(state))
    if arguments == ("down",):
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 1
        assert is_a_sentence(result.stderr), result.stderr
    assert theirs.read_text() == "precious"
    assert state.path.stat().st_mode & 0o777 == 0o755
    assert [each.name for each in state.path.iterdir()] == ["postgres"]


@pytest.mark.parametrize("mode", [(), ("--detach",)])
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL is not a URL"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL is not a URL"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "REDIS_URL: "),
        ({"DATABASE_URL": "postgresql://user:hidden@127.0.0.1:1/x"}, "DATABASE_URL: "),
        ({"DATABASE_URL": "postgresql://[/x"}, "DATABASE_URL is not a URL"),
    ],
)
def test_wrong_servers_are_refused_in_a_sentence(
    state: StateFolder, kongflow: Kongflow, mode: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    result = kongflow("up", *mode, *state_dir(state), env=env)
    assert result.returncode in {1, 2}
    assert is_a_sentence(result.stderr), result.stderr
    assert said in result.stderr
    assert "hidden" not in result.stderr + result.stdout


@pytest.mark.parametrize("mode", [(), ("--detach",)])
def test_settings_that_are_not_right_have_their_exit_code(
    state: StateFolder, kongflow: Kongflow, mode: tuple[str, ...]
) -> None:
    result = kongflow("up", *mode, *state_dir(state), env={"KONGFLOW_TASK_TARGETS": "[]"})
    assert result.returncode == 2
    assert "KONGFLOW_TASK_TARGETS is not a JSON object" in result.stderr


def test_the_log_of_a_detached_start_is_closed_to_others(
    state: StateFolder, kongflow: Kongflow
) -> None:
    kongflow("up", "--detach", *state_dir(state), env={"REDIS_URL": "nothing"})
    assert (state.logs / "up.log").stat().st_mode & 0o777 == 0o600


def test_a_refused_password_is_told_without_the_password(
    state: StateFolder, kongflow: Kongflow
) -> None:
    with temporary_postgres() as postgres:
        url = postgres.server.url().replace(postgres.server.password, "hidden")
        result = kongflow("up", *state_dir(state), env={"DATABASE_URL": url})
    assert result.returncode == 1
    assert is_a_sentence(result.stderr)
    assert "hidden" not in result.stderr + result.stdout


@pytest.mark.parametrize("mode", [(), ("--detach",)])
def test_a_second_up_is_refused(
    start: Start, state: StateFolder, kongflow: Kongflow, mode: tuple[str, ...]
) -> None:
    system = start().wait_ready()
    result = kongflow("up", *mode, *state_dir(state))
    assert result.returncode == 1
    assert is_a_sentence(result.stderr)
    assert f"process {system.process.pid}" in result.stderr
    assert system.process.poll() is None


@pytest.mark.parametrize("command", ["up", "down", "reset"])
def test_a_state_folder_that_is_a_file_is_refused(
    state: StateFolder, kongflow: Kongflow, command: str
) -> None:
    state.path.write_text("")
    result = kongflow(command, *state_dir(state))
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_damaged_secret_file_is_told(state: StateFolder, kongflow: Kongflow) -> None:
    state.make()
    state.secret_file.write_text('{"api_key"')
    result = kongflow("up", *state_dir(state))
    assert result.returncode == 1
    assert is_a_sentence(result.stderr)
    assert state.secret_file.read_text() == '{"api_key"'


def test_an_unknown_command_is_a_usage_error(kongflow: Kongflow) -> None:
    result = kongflow("upp")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
