"""`kongflow events`."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.match_explanation_pb2 import (
    DispatcherVerdict,
    MatchExplanation,
    ShownValue,
)
from kongflow.runs.v1.run_pb2 import Run as RunMessage
from kongflow.runs.v1.runs_service_pb2 import ListRunsRequest, ListRunsResponse
from kongflow.workerqueue.v1.job_options_pb2 import PRIORITY_LOW
from kongflow_common.auth.principals import CallerKind

TIME = datetime(2026, 5, 1, 12, tzinfo=UTC)


def timestamp(time: datetime = TIME) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def record(index: int = 0, **fields: object) -> EventRecord:
    values: dict[str, object] = {
        "id": f"0197f5c4-4f3c-7d6a-9c1e-{index:012d}",
        "event_id": f"order-{index}",
        "name": "order.created",
        "state": EventRecord.STATE_PENDING,
        "create_time": timestamp(),
        **fields,
    }
    return EventRecord(**values)  # type: ignore[arg-type]


def sent(system: RecordedSystem) -> pb.SendEventRequest:
    return system.only_call("SendEvent", pb.SendEventRequest)


class TestSend:
    def test_by_the_api_key_of_the_system_around_the_folder(
        self, system: RecordedSystem, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        monkeypatch.chdir(inner)
        ended = run("events", "send", "order.created")
        assert ended.code == 0, ended.err
        (call,) = system.calls
        assert call.principal.kind is CallerKind.SECRET_KEY
        assert call.environment is not None
        assert str(call.environment.environment_id) == system.environment_id

    def test_leaves_out_what_is_not_said(self, system: RecordedSystem, run: Run) -> None:
        assert run("events", "send", "order.created").code == 0
        request = sent(system)
        event_id = request.event.event_id
        # The command makes an id, so that it can be repeated when no answer comes.
        assert str(UUID(event_id)) == event_id
        assert request == pb.SendEventRequest(
            event=EventRecord(
                name="order.created",
                event_id=event_id,
                payload_type=EventRecord.PAYLOAD_TYPE_JSON,
            )
        )

    def test_everything(self, system: RecordedSystem, run: Run, tmp_path: Path) -> None:
        (tmp_path / "context.json").write_bytes(b' {"who": "me"}\n')
        ended = run(
            *("events", "send", "order.created", "--payload", '{"total": 1.10}'),
            *("--context", "@context.json", "--id", "order-1", "--after", "1h30m"),
            *("--account", "acme", "--source", "shop", "--priority", "low", "--test"),
            *("--happened", "2026-05-01T14:00:00+02:00", "--payload-type", "request"),
            *("--schema-version", "3"),
        )
        assert ended.code == 0, ended.err
        request = sent(system)
        assert request.event == EventRecord(
            name="order.created",
            event_id="order-1",
            source="shop",
            # As it was written, not as a parser would write it.
            payload=Payload(json=b'{"total": 1.10}'),
            context=Payload(json=b' {"who": "me"}\n'),
            payload_type=EventRecord.PAYLOAD_TYPE_REQUEST,
            event_time=timestamp(),
        )
        assert request.deliver_after.seconds == 5_400
        assert request.account_id == "acme"
        assert request.priority == PRIORITY_LOW
        assert request.test
        assert request.schema_version == 3

    def test_at_a_time(self, system: RecordedSystem, run: Run) -> None:
        assert run("events", "send", "x", "--at", "2026-05-01T12:00:00Z").code == 0
        assert sent(system).deliver_time == timestamp()

    def test_payload_from_the_standard_input(
        self, system: RecordedSystem, run_process: Run
    ) -> None:
        ended = run_process("events", "send", "x", "--payload", "-", stdin=b'{"a": 1}')
        assert ended.code == 0, ended.err
        assert sent(system).event.payload.json == b'{"a": 1}'

    def test_an_empty_payload_is_not_taken_for_none(self, system: RecordedSystem, run: Run) -> None:
        assert run("events", "send", "x", "--payload", "").code == 0
        assert sent(system).event.payload.WhichOneof("kind") == "json"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--at", "2026-05-01T12:00:00Z", "--after", "5s"),
            ("--at", "2026-05-01T12:00:00"),
            ("--at", "tomorrow"),
            ("--after", "5 parsecs"),
            ("--after", "-5s"),
            ("--payload", "@no-such-file"),
            ("--payload", "@."),
            ("--id", ""),
            ("--account", ""),
            ("--priority", "urgent"),
            ("--schema-version", "0"),
            ("--schema-version", "newest"),
            ("--environment", "not-a-uuid"),
            ("--timeout", "0"),
        ],
    )
    def test_a_mistake_in_the_options_sends_nothing(
        self, system: RecordedSystem, run: Run, arguments: tuple[str, ...]
    ) -> None:
        ended = run("events", "send", "x", *arguments)
        assert ended.code == 2
        assert ended.out == ""
        assert "Traceback" not in ended.err
        assert system.calls == []

    def test_the_standard_input_is_one_document(
        self, system: RecordedSystem, run_process: Run
    ) -> None:
        ended = run_process("events", "send", "x", "--payload", "-", "--context", "-", stdin=b"{}")
        assert ended.code == 2
        assert ended.err.startswith("kongflow: --payload and --context")
        assert system.calls == []

    def test_prints_the_stored_event(self, system: RecordedSystem, run: Run) -> None:
        system.answers["SendEvent"] = pb.SendEventResponse(event_record=record())
        ended = run("events", "send", "order.created")
        assert "order-0" in ended.out
        assert "pending" in ended.out
        assert run("events", "send", "order.created", "--json").json["state"] == "STATE_PENDING"


class TestGetAndCancel:
    @pytest.mark.parametrize(
        ("arguments", "key"),
        [(("some-id",), {"id": "some-id"}), (("--event-id", "mine"), {"event_id": "mine"})],
    )
    def test_by_either_id(
        self, system: RecordedSystem, run: Run, arguments: tuple[str, ...], key: dict[str, str]
    ) -> None:
        assert run("events", "get", *arguments).code == 0
        expected = pb.GetEventRecordRequest(**key)
        assert system.requests(pb.GetEventRecordRequest) == [expected]
        system.forget()
        assert run("events", "cancel", *arguments).code == 0
        assert system.only_call("CancelEvent", pb.CancelEventRequest) == pb.CancelEventRequest(
            **key
        )

    def test_the_runs_of_an_event_are_shown(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetEventRecord"] = pb.GetEventRecordResponse(event_record=record())
        system.answers["ListRuns"] = ListRunsResponse(
            runs=[
                RunMessage(
                    id="r1", job_slug="order", state=RunMessage.STATE_SUCCESS, dispatcher_id="d1"
                ),
                RunMessage(id="r2", job_slug="audit", error_message="it broke"),
            ]
        )
        shown = run("events", "get", "some-id").out
        assert "order" in shown
        assert "it broke" in shown
        assert "d1" not in shown
        [request] = system.requests(ListRunsRequest)
        assert "d1" in run("events", "get", "some-id", "--wide").out
        assert request.filter == f'event_record_id = "{record().id}"'
        runs = run("events", "get", "some-id", "--json").json["runs"]
        assert [each["id"] for each in runs] == ["r1", "r2"]

    @pytest.mark.parametrize("arguments", [(), ("some-id", "--event-id", "mine")])
    def test_by_exactly_one(
        self, system: RecordedSystem, run: Run, arguments: tuple[str, ...]
    ) -> None:
        assert run("events", "get", *arguments).code == 2
        assert run("events", "cancel", *arguments).code == 2
        assert system.calls == []

    def test_documents_are_readable(self, system: RecordedSystem, run: Run) -> None:
        payload = Payload(json='{"größe": 12345678901234567890}'.encode())
        system.answers["GetEventRecord"] = pb.GetEventRecordResponse(
            event_record=record(payload=payload)
        )
        assert '"größe": 12345678901234567890' in run("events", "get", "x").out
        content = run("events", "get", "x", "--json").json
        assert content["payload"] == {"value": {"größe": 12345678901234567890}}
        assert "context" not in content

    def test_documents_in_their_other_form_too(self, system: RecordedSystem, run: Run) -> None:
        payload = Payload()
        payload.value.struct_value.update({"total": 120, "rate": 0.5, "all": [1, True, None]})
        system.answers["GetEventRecord"] = pb.GetEventRecordResponse(
            event_record=record(payload=payload)
        )
        content = run("events", "get", "x", "--json")
        document = {"total": 120, "rate": 0.5, "all": [1, True, None]}
        assert content.json["payload"] == {"value": document}
        assert "120.0" not in content.out
        assert "120.0" not in run("events", "get", "x").out


class TestList:
    def filter_of(self, system: RecordedSystem, run: Run, *arguments: str) -> str:
        system.forget()
        ended = run("events", "list", *arguments)
        assert ended.code == 0, ended.err
        return system.only_call("ListEventRecords", pb.ListEventRecordsRequest).filter

    def test_shortcuts_become_a_filter(self, system: RecordedSystem, run: Run) -> None:
        assert self.filter_of(system, run) == ""
        assert self.filter_of(system, run, "--state", "pending") == 'state = "PENDING"'
        assert (
            self.filter_of(system, run, "--name", 'a "b" \\', "--state", "PENDING")
            == 'name = "a \\"b\\" \\\\" AND state = "PENDING"'
        )
        assert (
            self.filter_of(
                system,
                run,
                *("--state", "pending", "--state", "delivered", "--no-test"),
                *("--filter", 'name = "x" OR name = "y"', "--since", "2026-05-01T12:00:00Z"),
            )
            == '(state = "PENDING" OR state = "DELIVERED") AND test = false '
            'AND create_time >= "2026-05-01T12:00:00+00:00" AND (name = "x" OR name = "y")'
        )

    def test_pages_up_to_the_limit(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = _pages_of(2_500)
        content = run("events", "list", "--limit", "1500", "--json").json
        assert [item["event_id"] for item in content["items"]] == [
            f"order-{index}" for index in range(1_500)
        ]
        assert content["next_page_token"] == "1500"
        asked = system.requests(pb.ListEventRecordsRequest)
        assert [(each.page_size, each.page_token) for each in asked] == [(1000, ""), (500, "1000")]

    def test_all_pages(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = _pages_of(2_500)
        content = run("events", "list", "--all", "--json").json
        assert len(content["items"]) == 2_500
        assert content["next_page_token"] == ""

    def test_from_a_page_token(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = _pages_of(20)
        content = run("events", "list", "--page-token", "18", "--json").json
        assert [item["event_id"] for item in content["items"]] == ["order-18", "order-19"]

    def test_a_server_that_repeats_itself_is_left(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = pb.ListEventRecordsResponse(
            event_records=[record()], next_page_token="again"
        )
        ended = run("events", "list", "--all")
        assert ended.code == 1
        assert "does not end" in ended.err

    def test_none(self, system: RecordedSystem, run: Run) -> None:
        ended = run("events", "list")
        assert (ended.code, ended.out, ended.err) == (0, "", "No events.\n")
        assert run("events", "list", "--json").json == {"items": [], "next_page_token": ""}

    def test_more_is_said_beside_the_table(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ListEventRecords"] = _pages_of(3)
        ended = run("events", "list", "--limit", "2")
        assert len(ended.out.splitlines()) == 3
        assert "--all" in ended.err

    def test_with_documents_only_when_asked(self, system: RecordedSystem, run: Run) -> None:
        run("events", "list")
        run("events", "list", "--full", "--json")
        views = [each.view for each in system.requests(pb.ListEventRecordsRequest)]
        assert views == [pb.VIEW_BASIC, pb.VIEW_FULL]


class TestExplain:
    def answer(self) -> pb.ExplainEventResponse:
        return pb.ExplainEventResponse(
            event_record=record(),
            verdicts=[
                DispatcherVerdict(dispatcher_id="d1", dispatchable_id="charge", matched=True),
                DispatcherVerdict(
                    dispatcher_id="d2",
                    dispatchable_id="audit",
                    explanation=MatchExplanation(
                        reason=MatchExplanation.REASON_PAYLOAD_FILTER,
                        kind=MatchExplanation.KIND_CONDITION,
                        path="payload.amount",
                        operator="$gt",
                        wanted=ShownValue(whole=Payload(json=b"100")),
                        found=ShownValue(missing=True),
                    ),
                ),
            ],
        )

    def test_each_dispatcher_and_why_not(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ExplainEvent"] = self.answer()
        ended = run("events", "explain", "--event-id", "mine", "--dispatchable-id", "audit")
        assert ended.code == 0, ended.err
        header, matched, unmatched = ended.out.splitlines()
        assert header.split() == [
            "VERDICT",
            "BELONGS",
            "TO",
            "WHY",
            "NOT",
            "WHERE",
            "WANTED",
            "FOUND",
        ]
        assert matched.split() == ["matched", "charge"]
        assert unmatched.split() == [
            *("unmatched", "audit", "payload_filter", "payload.amount", "$gt", "100", "missing")
        ]
        request = system.only_call("ExplainEvent", pb.ExplainEventRequest)
        assert request == pb.ExplainEventRequest(
            event_id="mine", page_size=50, filter='dispatchable_id = "audit"'
        )
        assert "d2" in run("events", "explain", "some-id", "--wide").out

    def test_json_has_readable_documents(self, system: RecordedSystem, run: Run) -> None:
        system.answers["ExplainEvent"] = self.answer()
        content = run("events", "explain", "some-id", "--json").json
        assert content["next_page_token"] == ""
        first, second = content["items"]
        assert first["matched"]
        assert "explanation" not in first
        assert second["explanation"]["reason"] == "REASON_PAYLOAD_FILTER"
        assert second["explanation"]["wanted"] == {"whole": {"value": 100}}
        assert second["explanation"]["found"] == {"missing": True}

    def test_by_exactly_one_id(self, system: RecordedSystem, run: Run) -> None:
        assert run("events", "explain").code == 2
        assert system.calls == []


def _pages_of(
    count: int,
) -> Callable[[pb.ListEventRecordsRequest], pb.ListEventRecordsResponse]:
    def answer(request: pb.ListEventRecordsRequest) -> pb.ListEventRecordsResponse:
        start = int(request.page_token or 0)
        end = min(start + request.page_size, count)
        return pb.ListEventRecordsResponse(
            event_records=[record(index) for index in range(start, end)],
            next_page_token=str(end) if end < count else "",
        )

    return answer


def test_cancel_runs(system: RecordedSystem, run: Run) -> None:
    assert "No runs to cancel" in run("events", "cancel-runs", "e1").err
    system.answers["CancelRunsForEvent"] = pb.CancelRunsForEventResponse(
        cancelled_run_ids=["r1", "r2"], failed_run_ids=["r3"]
    )
    ended = run("events", "cancel-runs", "--event-id", "mine")
    assert ended.out.splitlines() == ["Cancelled r1", "Cancelled r2", "Failed    r3"]
    assert run("events", "cancel-runs", "e1", "--json").json == {
        "cancelled_run_ids": ["r1", "r2"],
        "failed_run_ids": ["r3"],
    }
    assert run("events", "cancel-runs").code == 2
    assert system.requests(pb.CancelRunsForEventRequest) == [
        pb.CancelRunsForEventRequest(id="e1"),
        pb.CancelRunsForEventRequest(event_id="mine"),
        pb.CancelRunsForEventRequest(id="e1"),
    ]
