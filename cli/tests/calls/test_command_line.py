"""The command line as a whole: help, completion, pipes, and words that are no text."""

import os
import subprocess
import sys

import pytest

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.runs.v1.run_pb2 import Run as RunMessage
from kongflow.tenancy.v1.environment_key_pb2 import EnvironmentKey
from kongflow.tenancy.v1.environment_pb2 import Environment
from kongflow.workerqueue.v1.job_options_pb2 import Priority
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_cli.app import COMMANDS, load_command
from kongflow_cli.input import states


@pytest.mark.parametrize(
    ("words", "names", "prefix"),
    [
        (states.EventState, EventRecord.State.keys(), "STATE_"),
        (states.RunState, RunMessage.State.keys(), "STATE_"),
        (states.PriorityWord, Priority.keys(), "PRIORITY_"),
        (states.PayloadTypeWord, EventRecord.PayloadType.keys(), "PAYLOAD_TYPE_"),
        (states.EnvironmentType, Environment.Type.keys(), "TYPE_"),
        (states.KeyKind, EnvironmentKey.Kind.keys(), "KIND_"),
    ],
)
def test_options_have_all_words_of_the_protos(words: type, names: list[str], prefix: str) -> None:
    expected = {name.removeprefix(prefix) for name in names} - {"UNSPECIFIED"}
    assert {word.name for word in words} == expected  # type: ignore[attr-defined]


def test_queued_jobs_have_one_word_more() -> None:
    names = {name.removeprefix("STATE_") for name in list(QueuedJob.State.keys())} - {"UNSPECIFIED"}
    assert {state.name for state in states.QueuedJobState} == {*names, "FAILED"}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_says_of_each_command_what_it_says_itself(name: str) -> None:
    command = load_command(name)
    summary = (command.help or "").split("\n\n")[0].replace("\n", " ").strip()
    assert COMMANDS[name][1] == summary


def test_help_loads_no_command_and_no_grpc() -> None:
    code = (
        "import sys; from kongflow_cli.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = [name for name in sys.modules\n"
        "         if name.split('.')[0] in ('grpc', 'google', 'rich')\n"
        "         or name.startswith('kongflow_cli.commands.')]\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "dispatchers" in ended.stdout


def test_every_command_has_help(run: Run) -> None:
    for name in COMMANDS:
        ended = run(name, "--help")
        assert ended.code == 0
        assert "--install-completion" not in ended.out


def test_unknown_commands(run: Run) -> None:
    assert run("evnets").code == 2
    assert run("events", "sned").code == 2


def test_its_name_is_the_same_however_it_is_started(run_process: Run) -> None:
    assert "Usage: kongflow events" in run_process("events", "--help").out


@pytest.mark.parametrize(
    ("words", "expected"),
    [("kongflow ev", "events"), ("kongflow events s", "send"), ("kongflow queue jobs l", "list")],
)
def test_completion(run_process: Run, words: str, expected: str) -> None:
    ended = run_process(
        _KONGFLOW_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
        _TYPER_COMPLETE_ARGS=words,
    )
    assert expected in ended.out.split()


def test_an_argument_that_is_no_text(system: RecordedSystem, run_process: Run) -> None:
    ended = run_process("events", "send", b"order\xff")
    assert (ended.code, ended.err) == (2, "kongflow: An argument is not UTF-8 text.\n")
    assert system.calls == []


def test_a_reader_that_leaves_early(system: RecordedSystem) -> None:
    system.answers["ListEventRecords"] = events_service_pb2.ListEventRecordsResponse(
        event_records=[EventRecord(id=str(index), name="x" * 500) for index in range(1_000)]
    )
    with subprocess.Popen(
        [sys.executable, "-m", "kongflow_cli", "events", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read().decode()
        process.wait(60)
    assert error == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written(system: RecordedSystem, unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-m", "kongflow_cli", "events", "list", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    (line,) = set(ended.stderr.splitlines())
    assert line.startswith("kongflow: The output cannot be written")
