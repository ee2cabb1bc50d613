"""What a refused call gets: one sentence on stderr, and an exit code."""

import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.runs.v1.runs_service_pb2 import GetRunRequest
from kongflow_cli.client.exit_codes import exit_code_of
from kongflow_common.errors import (
    AlreadyExists,
    Contended,
    DependencyUnavailable,
    FieldViolation,
    InvalidField,
    InvalidFields,
    KongflowError,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ResourceExhausted,
)


class RunNotFound(NotFound):
    """The run was not found."""


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (RunNotFound(), 3, "The run was not found (NOT_FOUND)."),
        (InvalidField("id", "must be a UUID"), 2, "id: must be a UUID (FIELD_INVALID)."),
        (PermissionDenied(), 4, "The caller may not do this (PERMISSION_DENIED)."),
        (
            DependencyUnavailable("postgresql", retry_after=1.5),
            5,
            (
                "postgresql is not available at the moment (DEPENDENCY_UNAVAILABLE). "
                "Try again in 1.5 s."
            ),
        ),
        (
            ResourceExhausted("Too much", retry_after=2),
            5,
            "Too much (RESOURCE_EXHAUSTED). Try again in 2 s.",
        ),
        (Contended("Raced"), 5, "Raced (CONTENDED). Try again in 0.1 s."),
        (AlreadyExists("It is there"), 6, "It is there (ALREADY_EXISTS)."),
        (PreconditionFailed("Too late"), 6, "Too late (PRECONDITION_FAILED)."),
        (KongflowError("What is this?"), 1, None),
        (ZeroDivisionError("s3cret"), 1, None),
    ],
)
def test_a_sentence_and_an_exit_code(
    system: RecordedSystem, run: Run, error: Exception, code: int, sentence: str | None
) -> None:
    system.answers["GetRun"] = error
    for form in ((), ("--json",)):
        ended = run("runs", "get", "r1", *form)
        assert (ended.code, ended.out) == (code, "")
        assert ended.err.count("\n") == 1
        if sentence is not None:
            assert ended.err == f"kongflow: {sentence}\n"
        assert "s3cret" not in ended.err


def test_every_field_that_was_wrong(system: RecordedSystem, run: Run) -> None:
    fields = [FieldViolation(f"field{index}", f"{'very ' * 30}odd") for index in range(5)]
    system.answers["GetRun"] = InvalidFields(fields)
    ended = run("runs", "get", "r1")
    # The message is cut off before the last ones; the details have them.
    assert all(f"field{index}: very" in ended.err for index in range(5))


def test_nothing_in_a_message_reaches_the_terminal(system: RecordedSystem, run: Run) -> None:
    system.answers["GetRun"] = InvalidField("id\x1b[2J", "is \x1b]0;owned\x07 odd\nkongflow: fine")
    ended = run("runs", "get", "r1")
    assert "\x1b" not in ended.err
    assert ended.err.count("\n") == 1


def test_a_key_that_does_not_count(
    system: RecordedSystem, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KONGFLOW_API_KEY", "tr_dev_unknownunknownunknown")
    ended = run("runs", "list")
    assert ended.code == 4
    assert "The key came from KONGFLOW_API_KEY." in ended.err
    assert "unknownunknown" not in ended.err
    # A key that may not list.
    monkeypatch.setenv("KONGFLOW_API_KEY", system.public_key)
    assert run("runs", "list").code == 4
    assert system.calls == []


def test_no_server(system: RecordedSystem, run: Run, tmp_path: Path, closed_port: int) -> None:
    address = f"127.0.0.1:{closed_port}"
    system.write_connection_file(tmp_path / ".kongflow", grpc={"runs": address, "events": address})
    ended = run("runs", "list")
    assert ended.code == 5
    assert (
        ended.err
        == f"kongflow: runs at {address} does not answer. `kongflow up` starts the system.\n"
    )
    ended = run("events", "send", "x", "--id", "mine")
    assert "repeat the command with --id mine" in ended.err
    ended = run("events", "send", "x")
    assert "repeat the command with --id " in ended.err


def test_a_server_that_says_nothing(
    system: RecordedSystem, run: Run, tmp_path: Path, silent_port: int
) -> None:
    address = f"127.0.0.1:{silent_port}"
    system.write_connection_file(tmp_path / ".kongflow", grpc={"runs": address})
    ended = run("runs", "list", "--timeout", "0.3")
    assert ended.code == 5
    assert ended.err == (
        f"kongflow: runs at {address} did not answer within 0.3 s; --timeout allows more.\n"
    )


def test_calls_have_the_deadline_that_was_asked_for(system: RecordedSystem, run: Run) -> None:
    assert run("runs", "get", "r1", "--timeout", "7").code == 0
    # gRPC rounds up what it tells the server.
    assert 0 < system.calls[0].seconds_left <= 7 * 1.01
    system.only_call("GetRun", GetRunRequest)


def test_a_list_that_fails_half_way_is_no_whole_answer(system: RecordedSystem, run: Run) -> None:
    system.answers["ListRuns"] = RunNotFound()
    ended = run("runs", "list", "--all", "--json")
    assert ended.code == 3
    with pytest.raises(AssertionError):
        _ = ended.json


def test_exit_codes_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    for status in grpc.StatusCode:
        if status is grpc.StatusCode.OK:
            continue
        rows = [line for line in page.splitlines() if line.startswith(f"| {exit_code_of(status)} ")]
        assert len(rows) == 1
        assert f"`{status.name}`" in rows[0] or exit_code_of(status) == 1


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nothing listens, and that nobody else takes."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])
