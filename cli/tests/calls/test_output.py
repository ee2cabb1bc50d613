"""Tables for people, JSON for programs."""

import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_cli.output.cells import Column, Word, word
from kongflow_cli.output.printer import Printer
from kongflow_cli.output.times import absolute, relative

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ID = "0197f5c4-4f3c-7d6a-9c1e-000000000001"


def timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def events(*names: str) -> pb.ListEventRecordsResponse:
    ago = timestamp(datetime.now(UTC) - timedelta(minutes=3, seconds=20))
    return pb.ListEventRecordsResponse(
        event_records=[
            EventRecord(
                id=ID,
                name=name,
                event_id="mine",
                state=EventRecord.STATE_DELIVERED,
                create_time=ago,
            )
            for name in names
        ]
    )


class TestTable:
    def test_when_no_terminal_reads_it_lines_are_whole(
        self, system: RecordedSystem, run_process: Run
    ) -> None:
        system.answers["ListEventRecords"] = events("x" * 500, "b")
        ended = run_process("events", "list", COLUMNS="40", FORCE_COLOR="")
        header, first, second = ended.out.splitlines()
        assert header.split()[:3] == ["ID", "STATE", "NAME"]
        assert first.split()[:3] == [ID, "delivered", "x" * 500]
        assert second.split()[2] == "b"
        assert "3m ago" in first
        assert "\x1b" not in ended.out
        assert ended.out == "".join(f"{line.rstrip()}\n" for line in ended.out.splitlines())

    def test_wide_has_whole_times_and_more_columns(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = events("a")
        ended = run("events", "list", "--wide")
        assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ended.out)
        assert "ago" not in ended.out
        assert "SOURCE" in ended.out

    def test_names_cannot_play_with_the_terminal(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = events("a\x1b[31mb\r\n\u202ec[bold]d[/]\u9f8d")
        ended = run("events", "list")
        assert "a\\x1b[31mb\\r\\n\\u202ec[bold]d[/]\u9f8d" in ended.out
        assert len(ended.out.splitlines()) == 2

    @pytest.mark.parametrize("columns", [20, 60, 200])
    def test_fits_the_terminal(self, system: RecordedSystem, tmp_path: Path, columns: int) -> None:
        system.answers["ListEventRecords"] = events("order.created")
        out = on_terminal(columns, "events", "list")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
        lines = plain.splitlines()
        assert all(len(line.rstrip()) <= columns for line in lines)
        # The id is whole, folded if need be: it is what the next command needs.
        folded = "".join(line[: min(columns, len(ID))].split(" ")[0] for line in lines[1:])
        assert ID.startswith(folded[: len(ID)])
        assert ("MATCHED" in plain) == (columns == 200)

    def test_colours_by_state_unless_refused(self, system: RecordedSystem) -> None:
        system.answers["ListEventRecords"] = events("a")
        assert "\x1b[32mdelivered" in on_terminal(100, "events", "list")
        assert "\x1b[32m" not in on_terminal(100, "events", "list", NO_COLOR="1")


class TestJson:
    def test_items_are_proto_json(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = events("a", "\u9f8d")
        content = run("events", "list", "--json").json
        assert list(content) == ["items", "next_page_token"]
        first, second = content["items"]
        assert first["state"] == "STATE_DELIVERED"
        assert first["matched_count"] == 0
        assert first["create_time"].endswith("Z")
        assert "deliver_time" not in first
        assert second["name"] == "\u9f8d"

    def test_in_any_encoding(self, system: RecordedSystem, run_process: Run) -> None:
        system.answers["ListEventRecords"] = events("\u9f8d")
        ended = run_process("events", "list", "--json", PYTHONIOENCODING="latin-1")
        assert ended.json["items"][0]["name"] == "\u9f8d"
        ended = run_process("events", "list", PYTHONIOENCODING="latin-1")
        assert "\\u9f8d" in ended.out


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=-59), "59s ago"),
        (timedelta(seconds=-60), "1m ago"),
        (timedelta(hours=-25), "1d ago"),
        (timedelta(hours=2), "in 2h"),
    ],
)
def test_relative_times(difference: timedelta, text: str) -> None:
    assert relative(timestamp(NOW + difference), NOW) == text


def test_what_a_command_waited_for_does_not_lie_ahead(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([NOW + timedelta(seconds=5)])
    printer = Printer(as_json=False, wide=False, clock=lambda: next(clock))
    event = EventRecord(create_time=timestamp(NOW + timedelta(seconds=5)))
    printer.resource(event, [Column("created", lambda each: each.create_time)])
    assert "(now)" in capsys.readouterr().out


def test_absolute_times() -> None:
    assert absolute(timestamp(NOW)) == "2026-05-01T12:00:00Z"
    assert absolute(timestamp(NOW + timedelta(milliseconds=250))) == "2026-05-01T12:00:00.250Z"
    assert absolute(Timestamp(seconds=10**15)) == "1000000000000000 s since 1970"


def test_states_of_a_newer_server_are_numbers() -> None:
    assert word(EventRecord.State.Name, EventRecord.State.ValueType(99), "STATE_") == Word("99")


def on_terminal(columns: int, *arguments: str, **variables: str) -> str:
    """What a command writes to a terminal of so many columns."""
    leader, follower = pty.openpty()
    try:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}
        }
        with subprocess.Popen(
            [sys.executable, "-m", "kongflow_cli", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**environment, "TERM": "xterm", "COLUMNS": str(columns), **variables},
        ) as process:
            os.close(follower)
            follower = -1
            written = b""
            try:
                while chunk := os.read(leader, 65_536):
                    written += chunk
            except OSError:
                # So a terminal ends on Linux.
                pass
            assert process.wait(60) == 0, written
        return written.decode().replace("\r\n", "\n")
    finally:
        os.close(leader)
        if follower >= 0:
            os.close(follower)
