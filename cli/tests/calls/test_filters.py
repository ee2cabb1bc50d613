"""`kongflow filters test` and `backtest`."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.match_explanation_pb2 import MatchExplanation, ShownValue


def explanation(**fields: object) -> MatchExplanation:
    values = {
        "reason": MatchExplanation.REASON_PAYLOAD_FILTER,
        "kind": MatchExplanation.KIND_CONDITION,
        "path": "payload.a",
        **fields,
    }
    return MatchExplanation(**values)  # type: ignore[arg-type]


def test_a_sample(system: RecordedSystem, run: Run) -> None:
    system.answers["TestFilter"] = pb.TestFilterResponse(matched=True, warnings=["careful"])
    ended = run(
        *("filters", "test", "--filter", '{"a": [1]}', "--context-filter", "{}"),
        *("--payload", '{"a":  1}', "--payload-type", "request"),
    )
    assert (ended.code, ended.out.split()) == (0, ["Verdict", "matched"])
    assert ended.err == "Warning: careful\n"
    assert system.only_call("TestFilter", pb.TestFilterRequest) == pb.TestFilterRequest(
        payload_filter=Payload(json=b'{"a": [1]}'),
        context_filter=Payload(json=b"{}"),
        event=EventRecord(
            payload=Payload(json=b'{"a":  1}'), payload_type=EventRecord.PAYLOAD_TYPE_REQUEST
        ),
    )


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        (
            explanation(
                wanted=ShownValue(whole=Payload(json=b'["x"]')),
                found=ShownValue(described='"\\ud83d"'),
            ),
            ["Where    payload.a", 'Wanted   one of ["x"]', 'Found    "\\ud83d"'],
        ),
        (
            explanation(
                kind=MatchExplanation.KIND_NO_ELEMENT,
                wanted=ShownValue(whole=Payload(json=b'{"n": [1]}')),
                found=ShownValue(beginning="[" + "1" * 999),
            ),
            ['Wanted   an element: {"n": [1]}', f"Found    [{'1' * 58}…"],
        ),
        (
            explanation(
                kind=MatchExplanation.KIND_NO_MEMBERS,
                wanted=ShownValue(whole=Payload(json=b'{"n": [1]}')),
                found=ShownValue(missing=True),
            ),
            ['Wanted   {"n": [1]}', "Found    missing"],
        ),
        (
            explanation(kind=MatchExplanation.KIND_UNREADABLE, wanted=ShownValue(beginning="x")),
            ["Found    not readable"],
        ),
        (
            MatchExplanation(
                reason=MatchExplanation.REASON_UNREADABLE_REQUEST, message="no request"
            ),
            ["Why not  unreadable_request", "Where    no request"],
        ),
    ],
)
def test_why_not(
    system: RecordedSystem, run: Run, told: MatchExplanation, lines: list[str]
) -> None:
    system.answers["TestFilter"] = pb.TestFilterResponse(explanation=told)
    # That a filter does not hold is an answer, not a failure.
    ended = run("filters", "test", "--filter", "{}")
    assert ended.code == 0, ended.err
    shown = ended.out.splitlines()
    assert shown[0] == "Verdict  unmatched"
    assert [line for line in shown if line in lines] == lines


def test_stored_events(system: RecordedSystem, run: Run) -> None:
    system.answers["BacktestFilter"] = pb.BacktestFilterResponse(
        examined_count=30,
        matched_count=2,
        matched_event_record_ids=["e1", "e2"],
        out_of_time=True,
        searched_back_to_time=Timestamp(seconds=1_767_225_600),
    )
    ended = run(
        *("filters", "backtest", "--filter", '{"a": [1]}', "--name", "x", "--source", "shop"),
        *("--last", "30"),
    )
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == ["Matched  2 of 30", "Events   e1", "         e2"]
    assert ended.err == (
        "The time ran out: events before 2026-01-01T00:00:00Z were not looked at; "
        "--timeout allows more.\n"
    )
    assert system.only_call("BacktestFilter", pb.BacktestFilterRequest) == pb.BacktestFilterRequest(
        payload_filter=Payload(json=b'{"a": [1]}'),
        filter='name = "x" AND source = "shop"',
        max_events=30,
    )
    assert run("filters", "backtest", "--filter", "{}", "--json").json["matched_count"] == 2


@pytest.mark.parametrize("last", ["0", "1001", "x"])
def test_a_mistake_in_the_options_asks_nothing(system: RecordedSystem, run: Run, last: str) -> None:
    assert run("filters", "backtest", "--filter", "{}", "--last", last).code == 2
    assert system.calls == []
