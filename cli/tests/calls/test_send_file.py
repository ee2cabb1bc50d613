"""`kongflow events send --file`."""

from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.errors import DependencyUnavailable, InvalidField


def stored(request: pb.SendEventsRequest) -> pb.SendEventsResponse:
    """New ones, known ones ("known") and refused ones ("bad")."""
    info = AnyMessage()
    info.Pack(error_details_pb2.ErrorInfo(reason="FIELD_INVALID"))
    refused = status_pb2.Status(
        code=code_pb2.INVALID_ARGUMENT, message="event.name: is required", details=[info]
    )
    return pb.SendEventsResponse(
        results=[
            pb.SendEventResult(status=refused)
            if each.event.event_id == "bad"
            else pb.SendEventResult(
                event_record_id=f"record-{each.event.event_id}",
                state=EventRecord.STATE_DELIVERED,
                is_new=each.event.event_id != "known",
            )
            for each in request.requests
        ]
    )


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text('{"id": "a", "payload": 1.0}\n\n{"id": "bad"}\nno\n{"id": "known"}\n')
    return path


def test_each_line_has_its_outcome(system: RecordedSystem, run: Run, lines: Path) -> None:
    system.answers["SendEvents"] = stored
    ended = run("events", "send", "order.created", "--file", str(lines), "--source", "shop")
    assert ended.code == 2
    assert ended.out == "1 new, 1 known before, 2 refused\n"
    assert ended.err == (
        "Line 3: event.name: is required (FIELD_INVALID).\n"
        "Line 4: is not JSON: Expecting '{': line 1 column 1 (char 0).\n"
    )
    request = system.only_call("SendEvents", pb.SendEventsRequest)
    assert not request.atomic
    assert [each.event.event_id for each in request.requests] == ["a", "bad", "known"]
    assert {(each.event.name, each.event.source) for each in request.requests} == {
        ("order.created", "shop")
    }
    assert request.requests[0].event.payload.json == b"1.0"


def test_json_has_an_item_a_line(system: RecordedSystem, run: Run, lines: Path) -> None:
    system.answers["SendEvents"] = stored
    lines.write_text('{"id": "a"}\n{"id": "known"}')
    assert run("events", "send", "x", "--file", str(lines), "--json").json == {
        "items": [
            {
                "line": line,
                "event_id": event_id,
                "event_record_id": f"record-{event_id}",
                "state": "STATE_DELIVERED",
                "is_new": is_new,
            }
            for line, event_id, is_new in ((1, "a", True), (2, "known", False))
        ],
        "new": 1,
        "known": 1,
        "refused": 0,
    }


def test_many_lines_go_in_batches(system: RecordedSystem, run: Run, lines: Path) -> None:
    system.answers["SendEvents"] = stored
    lines.write_text("".join(f'{{"id": "{n}"}}\n' for n in range(2_500)))
    ended = run("events", "send", "x", "--file", str(lines), "--from-line", "101")
    assert (ended.code, ended.out) == (0, "2,400 new, 0 known before, 0 refused\n")
    requests = [call.request for call in system.calls]
    assert all(isinstance(each, pb.SendEventsRequest) for each in requests)
    sizes = [len(each.requests) for each in requests if isinstance(each, pb.SendEventsRequest)]
    assert sizes == [1_000, 1_000, 400]


def test_large_events_go_in_smaller_batches(system: RecordedSystem, run: Run, lines: Path) -> None:
    system.answers["SendEvents"] = stored
    text = "x" * 500_000
    lines.write_text("".join(f'{{"id": "{n}", "payload": "{text}"}}\n' for n in range(20)))
    assert run("events", "send", "x", "--file", str(lines)).code == 0
    assert len(system.calls) == 3


def test_from_the_standard_input(system: RecordedSystem, run_process: Run) -> None:
    system.answers["SendEvents"] = stored
    ended = run_process("events", "send", "x", "--file", "-", stdin=b'{"id": "a"}\n')
    assert (ended.code, ended.out, ended.err) == (0, "1 new, 0 known before, 0 refused\n", "")


def test_what_is_not_known_after_a_call_without_an_answer(
    system: RecordedSystem, run: Run, lines: Path
) -> None:
    def second_fails(request: pb.SendEventsRequest) -> pb.SendEventsResponse:
        if len(system.calls) > 1:
            raise DependencyUnavailable("postgresql")
        return stored(request)

    system.answers["SendEvents"] = second_fails
    lines.write_text("".join(f'{{"id": "{n}"}}\n' for n in range(1_500)))
    ended = run("events", "send", "x", "--file", str(lines))
    assert ended.code == 5
    assert "Whether the lines 1001 to 1500 are stored is not known" in ended.err
    assert "--from-line 1001" in ended.err
    assert ended.out == "1,000 new, 0 known before, 0 refused\n"


def test_all_together(system: RecordedSystem, run: Run, lines: Path) -> None:
    system.answers["SendEvents"] = stored
    refused = run("events", "send", "x", "--file", str(lines), "--atomic")
    assert refused.code == 2
    assert "Line 4: is not JSON" in refused.err
    assert "Nothing is stored." in refused.err
    # There is nothing to count.
    assert refused.out == ""
    assert not system.calls
    lines.write_text("".join(f'{{"id": "{n}"}}\n' for n in range(1_500)))
    assert run("events", "send", "x", "--file", str(lines), "--atomic").code == 0
    request = system.only_call("SendEvents", pb.SendEventsRequest)
    assert request.atomic
    assert len(request.requests) == 1_500
    system.answers["SendEvents"] = InvalidField("requests[3].event.name", "is required")
    bad = run("events", "send", "x", "--file", str(lines), "--atomic")
    assert bad.code == 2
    assert "requests[3].event.name: is required" in bad.err
    assert "Nothing is stored." in bad.err
    assert bad.out == ""
    assert run("events", "send", "x", "--file", str(lines), "--atomic", "--json").out == ""
    system.answers["SendEvents"] = DependencyUnavailable("postgresql")
    unknown = run("events", "send", "x", "--file", str(lines), "--atomic")
    assert (unknown.code, unknown.out) == (5, "")
    assert "Whether the lines 1 to 1500 are stored is not known" in unknown.err
    assert "Nothing is stored" not in unknown.err


def test_json_without_a_line(system: RecordedSystem, run: Run, lines: Path) -> None:
    lines.write_text("")
    assert run("events", "send", "x", "--file", str(lines), "--json").json == {
        "items": [],
        "new": 0,
        "known": 0,
        "refused": 0,
    }
    assert not system.calls


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "Either NAME or --file"),
        (["x", "--atomic"], "go with --file"),
        (["x", "--from-line", "2"], "go with --file"),
        (["--file", "events.jsonl", "--id", "a"], "said by the lines"),
        (["--file", "events.jsonl", "--payload", "{}"], "said by the lines"),
        (["--file", "nothing.jsonl"], "cannot be read"),
    ],
)
def test_what_does_not_go_together(
    system: RecordedSystem, run: Run, lines: Path, arguments: list[str], why: str
) -> None:
    ended = run("events", "send", *arguments)
    assert ended.code == 2
    assert why in ended.err
    assert not system.calls
