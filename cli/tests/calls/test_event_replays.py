"""`kongflow events replay`, `kongflow events replays`, `kongflow dispatchers backfill`."""

from datetime import UTC, datetime

import pytest

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import event_replays_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.event_replay_pb2 import EventReplay

SINCE = "2026-05-01T12:00:00Z"


def replay(
    state: EventReplay.State.ValueType = EventReplay.STATE_RUNNING, done: int = 0
) -> EventReplay:
    return EventReplay(
        id="r1",
        kind=EventReplay.KIND_REPLAY,
        state=state,
        total_count=4,
        replayed_count=done,
        events_per_second=50,
    )


def test_replay_of_one_event_says_everything(system: RecordedSystem, run: Run) -> None:
    system.answers["ReplayEvent"] = lambda request: pb.ReplayEventResponse(
        event_record=EventRecord(id="e2", replay_of="e1")
    )
    ended = run("events", "replay", "e1", "--dispatcher", "d1", "--new-event-id", "again")
    assert ended.code == 0, ended.err
    assert system.only_call("ReplayEvent", pb.ReplayEventRequest) == pb.ReplayEventRequest(
        id="e1", dispatcher_id="d1", new_event_id="again"
    )
    assert "e2" in ended.out
    assert "e1" in ended.out


def test_replay_of_many_says_everything(system: RecordedSystem, run: Run) -> None:
    system.answers["ReplayEvents"] = lambda request: pb.ReplayEventsResponse(event_replay=replay())
    ended = run(
        *("events", "replay", "--filter", 'name = "a"', "--since", SINCE),
        *("--until", "2026-05-02T12:00:00Z", "--dispatcher", "d1", "--rate", "50"),
    )
    assert ended.code == 0, ended.err
    expected = pb.ReplayEventsRequest(filter='name = "a"', dispatcher_id="d1", events_per_second=50)
    expected.start_time.FromDatetime(datetime(2026, 5, 1, 12, tzinfo=UTC))
    expected.end_time.FromDatetime(datetime(2026, 5, 2, 12, tzinfo=UTC))
    assert system.only_call("ReplayEvents", pb.ReplayEventsRequest) == expected
    assert "0/4" in ended.out


def test_dry_run_says_that_nothing_was_done(system: RecordedSystem, run: Run) -> None:
    system.answers["ReplayEvents"] = lambda request: pb.ReplayEventsResponse(event_replay=replay())
    ended = run("events", "replay", "--since", SINCE, "--dry-run")
    assert ended.code == 0, ended.err
    assert system.only_call("ReplayEvents", pb.ReplayEventsRequest).dry_run
    assert "4 events would be gone through, 50 each second; nothing was done." in ended.err


def test_a_count_that_is_not_the_whole_says_so(system: RecordedSystem, run: Run) -> None:
    partial = replay()
    partial.total_is_partial = True
    system.answers["ReplayEvents"] = lambda request: pb.ReplayEventsResponse(event_replay=partial)
    assert "4+ events would be" in run("events", "replay", "--since", SINCE, "--dry-run").err
    assert "0/4+" in run("events", "replay", "--since", SINCE).out


@pytest.mark.parametrize(
    ("state", "code"),
    [(EventReplay.STATE_SUCCEEDED, 0), (EventReplay.STATE_CANCELLED, 6)],
)
def test_wait_asks_until_the_end(
    system: RecordedSystem,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    state: EventReplay.State.ValueType,
    code: int,
) -> None:
    monkeypatch.setattr("kongflow_cli.client.replay_end._PAUSE_SECONDS", 0)
    steps = iter([replay(done=2), replay(state, done=4)])
    system.answers["ReplayEvents"] = lambda request: pb.ReplayEventsResponse(event_replay=replay())
    system.answers["GetEventReplay"] = lambda request: pb.GetEventReplayResponse(
        event_replay=next(steps)
    )
    ended = run("events", "replay", "--since", SINCE, "--wait")
    assert ended.code == code, ended.err
    assert "4/4" in ended.out


def test_backfill_says_everything(system: RecordedSystem, run: Run) -> None:
    system.answers["BackfillEventDispatcher"] = lambda request: pb.BackfillEventDispatcherResponse(
        event_replay=replay()
    )
    ended = run("dispatchers", "backfill", "d1", "--since", SINCE, "--rate", "7")
    assert ended.code == 0, ended.err
    request = system.only_call("BackfillEventDispatcher", pb.BackfillEventDispatcherRequest)
    expected = pb.BackfillEventDispatcherRequest(dispatcher_id="d1", events_per_second=7)
    expected.start_time.FromDatetime(datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert request == expected


def test_replays_are_listed_shown_and_cancelled(system: RecordedSystem, run: Run) -> None:
    system.answers["ListEventReplays"] = lambda request: pb.ListEventReplaysResponse(
        event_replays=[replay(done=1)]
    )
    system.answers["GetEventReplay"] = lambda request: pb.GetEventReplayResponse(
        event_replay=replay(done=2)
    )
    system.answers["CancelEventReplay"] = lambda request: pb.CancelEventReplayResponse(
        event_replay=replay(EventReplay.STATE_CANCELLED, done=3)
    )
    assert "1/4" in run("events", "replays", "list", "--filter", 'state = "RUNNING"').out
    assert "2/4" in run("events", "replays", "get", "r1").out
    assert "cancelled" in run("events", "replays", "cancel", "r1").out
    assert [call.request for call in system.calls] == [
        pb.ListEventReplaysRequest(page_size=50, filter='state = "RUNNING"'),
        pb.GetEventReplayRequest(id="r1"),
        pb.CancelEventReplayRequest(id="r1"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("e1", "--event-id", "x"),
        ("e1", "--since", SINCE),
        ("e1", "--dry-run"),
        ("--since", SINCE, "--new-event-id", "x"),
        ("--since", "sometime"),
        ("--since", SINCE, "--rate", "1001"),
    ],
)
def test_command_lines_that_make_no_sense(
    system: RecordedSystem, run: Run, arguments: tuple[str, ...]
) -> None:
    assert run("events", "replay", *arguments).code == 2
    assert not system.calls
