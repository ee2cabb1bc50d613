"""`kongflow events tail`."""

import json

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow_cli.client.exit_codes import NO_ANSWER, NOT_ALLOWED, USAGE
from kongflow_cli.commands import events_tail
from kongflow_common.errors import DependencyUnavailable, InvalidField, PermissionDenied

TIME = Timestamp(seconds=1_767_225_600)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_tail, "_PAUSE_SECONDS", 0.0)


def answer(token: str, *resources: str) -> pb.WatchEventsResponse:
    response = pb.WatchEventsResponse(resume_token=token)
    for resource in resources:
        event = response.resource_events.add(
            id=f"id-{resource}", type="run.completed.success", time=TIME, resource_id=resource
        )
        event.layer = ResourceEvent.LAYER_INTEGRATION
        event.data.json = b'{"state": "SUCCESS"}'
    return response


class Watched:
    """Answers one watch after the other; the last one is refused, which ends the command."""

    def __init__(self, *answers: pb.WatchEventsResponse | Exception) -> None:
        self._answers = [*answers, PermissionDenied("not for you")]

    def __call__(self, _request: Message) -> Message:
        following = self._answers.pop(0)
        if isinstance(following, Exception):
            raise following
        return following


def requests(system: RecordedSystem) -> list[pb.WatchEventsRequest]:
    found = [call.request for call in system.calls if call.method == "WatchEvents"]
    return [each for each in found if isinstance(each, pb.WatchEventsRequest)]


def test_a_line_per_event(system: RecordedSystem, run: Run) -> None:
    system.answers["WatchEvents"] = Watched(answer("t1"), answer("t2", "r1", "r2"))
    ended = run("events", "tail", "--resource", "r", "--type", "run.completed.success")
    first, second = ended.out.splitlines()
    assert first == '2026-01-01T00:00:00Z  run.completed.success  r1  {"state": "SUCCESS"}'
    assert "r2" in second
    assert "Go on with --after t2" in ended.err
    asked = requests(system)[0]
    assert (asked.resource_id, list(asked.types)) == ("r", ["run.completed.success"])


def test_what_is_cut_off_goes_on_behind_the_last_answer(system: RecordedSystem, run: Run) -> None:
    system.answers["WatchEvents"] = Watched(
        answer("t1", "r1"), DependencyUnavailable("postgresql"), answer("t2", "r2")
    )
    ended = run("events", "tail", "--after", "t0")
    assert ended.code == NOT_ALLOWED
    assert [each.resume_token for each in requests(system)] == ["t0", "t1", "t1", "t2"]
    assert len(ended.out.splitlines()) == 2


def test_it_ends_after_its_time(system: RecordedSystem, run: Run) -> None:
    system.answers["WatchEvents"] = answer("t1", "r1")
    system.streams_stay_open = True
    ended = run("events", "tail", "--timeout", "0.5")
    assert (ended.code, len(ended.out.splitlines())) == (0, 1)
    assert "Go on with --after t1" in ended.err
    [call] = system.calls
    assert 0 < call.seconds_left < 1


def test_at_the_end_of_its_time_it_tells_that_it_is_cut_off(
    system: RecordedSystem, run: Run
) -> None:
    following = [answer("t1", "r1")]

    def watched(_request: Message) -> Message:
        if following:
            return following.pop()
        raise DependencyUnavailable("postgresql")

    system.answers["WatchEvents"] = watched
    ended = run("events", "tail", "--timeout", "0.5")
    assert (ended.code, len(ended.out.splitlines())) == (NO_ANSWER, 1)
    assert "Go on with --after t1" in ended.err
    assert len(requests(system)) > 1


def test_json_says_where_to_go_on(system: RecordedSystem, run: Run) -> None:
    system.answers["WatchEvents"] = Watched(answer("t1", "r1", "r2"))
    documents = [json.loads(line) for line in run("events", "tail", "--json").out.splitlines()]
    assert [each["resource_id"] for each in documents] == ["r1", "r2"]
    assert "resume_token" not in documents[0]
    assert documents[1]["resume_token"] == "t1"
    assert documents[1]["data"] == {"value": {"state": "SUCCESS"}}


def test_a_refused_token_ends_it(system: RecordedSystem, run: Run) -> None:
    system.answers["WatchEvents"] = InvalidField("resume_token", "was not given out by this log")
    ended = run("events", "tail", "--after", "made-up")
    assert (ended.code, ended.out) == (USAGE, "")
    assert "resume_token" in ended.err
    assert "Go on with" not in ended.err


def test_without_a_first_answer_nothing_is_tried_again(system: RecordedSystem, run: Run) -> None:
    system.answers["WatchEvents"] = DependencyUnavailable("postgresql")
    run("events", "tail")
    assert len(requests(system)) == 1
