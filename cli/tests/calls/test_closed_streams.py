"""Commands whose standard streams were closed before they began."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.tests.calls.conftest import Ended
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_cli.client.exit_codes import USAGE


def run_without(closed: str, *arguments: str) -> Ended:
    """Runs the command line with streams closed as a shell writes it, e.g. `<&-`."""
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "kongflow_cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["filters", "match"],
        ["events", "send", "x", "--payload", "-"],
        ["events", "send", "--file", "-"],
        ["events", "send", "--cloudevent", "-"],
    ],
)
def test_who_reads_a_closed_input_is_told(system: RecordedSystem, arguments: list[str]) -> None:
    ended = run_without("<&-", *arguments)
    assert ended == Ended(USAGE, "", "kongflow: The standard input is closed.\n")
    assert not system.calls


@pytest.mark.parametrize(
    "arguments", [["events", "list"], ["filters", "match"], ["events", "send", "x"], ["--help"]]
)
def test_without_an_output_nothing_is_done(system: RecordedSystem, arguments: list[str]) -> None:
    expected = Ended(USAGE, "", "kongflow: The standard output is closed.\n")
    assert run_without(">&-", *arguments) == expected
    assert run_without(">&- <&-", *arguments) == expected
    assert run_without(">&- 2>&- <&-", *arguments) == Ended(USAGE, "", "")
    assert not system.calls


def test_what_is_not_needed_may_be_closed(system: RecordedSystem, tmp_path: Path) -> None:
    system.answers["ListEventRecords"] = pb.ListEventRecordsResponse(
        event_records=[EventRecord(id="e1", name="order.created")]
    )
    for closed in ("<&-", "2>&-", "<&- 2>&-"):
        ended = run_without(closed, "events", "list")
        assert (ended.code, ended.err) == (0, "")
        assert "order.created" in ended.out
    # Words for the standard error go nowhere else.
    (tmp_path / "lines").write_text('{"id": 5}\n')
    ended = run_without("2>&-", "events", "send", "x", "--file", "lines")
    assert (ended.code, ended.out) == (USAGE, "0 new, 0 known before, 1 refused\n")
    assert run_without("2>&-", "events", "nothing") == Ended(USAGE, "", "")
