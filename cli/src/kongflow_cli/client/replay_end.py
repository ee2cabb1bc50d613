"""Waits for the end of a replay, and shows how far it is."""

import sys
import time
from typing import Final

from kongflow.events.v1 import event_replays_service_pb2
from kongflow.events.v1.event_replay_pb2 import EventReplay
from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceStub
from kongflow_cli.client.session import Session
from kongflow_cli.output.cells import Cell, Column, time_of, word

__all__ = ["REPLAY_COLUMNS", "REPLAY_DETAILS", "total_of", "wait_for_replay"]

_PAUSE_SECONDS: Final = 0.5
_BAR: Final = 30


def _done(replay: EventReplay) -> int:
    return replay.replayed_count + replay.skipped_count + replay.refused_count


def total_of(replay: EventReplay) -> str:
    """How many events there are; `4000000+` where not all were counted."""
    return f"{replay.total_count}{'+' if replay.total_is_partial else ''}"


def _progress(replay: EventReplay) -> Cell:
    parts = [f"{_done(replay)}/{total_of(replay)}"]
    if replay.skipped_count:
        parts.append(f"{replay.skipped_count} skipped")
    if replay.refused_count:
        parts.append(f"{replay.refused_count} refused")
    return ", ".join(parts)


REPLAY_COLUMNS: list[Column[EventReplay]] = [
    Column("Id", lambda replay: replay.id),
    Column("Kind", lambda replay: word(EventReplay.Kind.Name, replay.kind, "KIND_")),
    Column("State", lambda replay: word(EventReplay.State.Name, replay.state, "STATE_")),
    Column("Events", _progress),
    Column("Rate", lambda replay: f"{replay.events_per_second}/s"),
    Column("Began", lambda replay: time_of(replay, "create_time")),
    Column("Error", lambda replay: replay.error_message),
    Column("Filter", lambda replay: replay.filter),
    Column("Dispatcher", lambda replay: replay.dispatcher_id, wide=True),
    Column("Since", lambda replay: time_of(replay, "start_time"), wide=True),
    Column("Until", lambda replay: time_of(replay, "end_time"), wide=True),
    Column("Ended", lambda replay: time_of(replay, "finish_time"), wide=True),
]
REPLAY_DETAILS: list[Column[EventReplay]] = [
    *REPLAY_COLUMNS[:4],
    Column("Replayed", lambda replay: str(replay.replayed_count)),
    *REPLAY_COLUMNS[4:],
]


def wait_for_replay(session: Session, replay: EventReplay) -> EventReplay:
    """The replay once it has ended; meanwhile a bar shows how far it is, on a terminal."""
    stub = EventReplaysServiceStub(session.channel)
    request = event_replays_service_pb2.GetEventReplayRequest(id=replay.id)
    shows = sys.stderr.isatty()
    while replay.state == EventReplay.STATE_RUNNING:
        if shows:
            print(f"\r{_bar(replay)}", end="", file=sys.stderr, flush=True)
        time.sleep(_PAUSE_SECONDS)
        replay = session.call(stub.GetEventReplay, request).event_replay
    if shows:
        print(f"\r{_bar(replay)}", file=sys.stderr, flush=True)
    return replay


def _bar(replay: EventReplay) -> str:
    done, total = _done(replay), max(replay.total_count, 1)
    filled = min(_BAR, _BAR * done // total)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total_of(replay)}"
