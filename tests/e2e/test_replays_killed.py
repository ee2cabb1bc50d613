"""A replay of many events whose process is killed in the middle of a step is ended all the same.

The middle is no matter of luck: a transaction of the test's holds the id of one of the new events,
so that the step that stores it waits, with half of its work done, until it is killed.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import grpc
import psycopg
import pytest

from kongflow.events.v1 import event_record_pb2, event_replay_pb2
from kongflow.events.v1 import event_replays_service_pb2 as replays_pb
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceStub
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from tests.local_system import LocalSystem, poll_until

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(180)]

TIMEOUT = 20
EVENTS = 250
PER_SECOND = 100
HELD = 150
"""Which of the events is held, in the order of the replay: one of its second step."""

STATE = event_replay_pb2.EventReplay

HOLD = """
INSERT INTO events.event_records (
    id, event_id, name, source, organization_id, environment_id, project_id)
SELECT gen_random_uuid(), %(event_id)s, name, source, organization_id, environment_id, project_id
  FROM events.event_records WHERE id = %(original)s
"""
WAITS = """
SELECT count(*) FROM pg_stat_activity
 WHERE wait_event_type = 'Lock' AND query LIKE '%event_records%' AND pid <> pg_backend_pid()
"""
# Of each original: how many new events, and how often the log tells of one.
REPLAYED = """
SELECT o.id, count(DISTINCT r.id), count(l.id)
  FROM unnest(%(originals)s::uuid[]) AS o(id)
  LEFT JOIN events.event_records r ON r.replay_of = o.id
  LEFT JOIN events.resource_events l ON l.resource_id = r.id::text AND l.type = 'event.ingested'
 GROUP BY o.id
"""


@pytest.fixture
def channel(system: LocalSystem) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(system.target("events")) as channel:
        yield channel


def database(system: LocalSystem) -> psycopg.Connection:
    return psycopg.connect(system.connection()["database_url"])


def send_events(system: LocalSystem, channel: grpc.Channel, name: str) -> list[str]:
    """Sends the originals; answers their records in the order of a replay."""
    request = events_pb.SendEventsRequest(
        requests=[
            events_pb.SendEventRequest(event=event_record_pb2.EventRecord(name=name))
            for _ in range(EVENTS)
        ]
    )
    answer = EventsServiceStub(channel).SendEvents(
        request, metadata=system.metadata, timeout=TIMEOUT
    )
    return sorted(result.event_record_id for result in answer.results)


def replay(
    system: LocalSystem, channel: grpc.Channel, name: str, *, dry_run: bool = False
) -> event_replay_pb2.EventReplay:
    answer = EventReplaysServiceStub(channel).ReplayEvents(
        replays_pb.ReplayEventsRequest(
            filter=f'name = "{name}"', events_per_second=PER_SECOND, dry_run=dry_run
        ),
        metadata=system.metadata,
        timeout=TIMEOUT,
    )
    return answer.event_replay


def get(system: LocalSystem, channel: grpc.Channel, id_: str) -> event_replay_pb2.EventReplay:
    answer = EventReplaysServiceStub(channel).GetEventReplay(
        replays_pb.GetEventReplayRequest(id=id_),
        metadata=system.metadata,
        timeout=TIMEOUT,
        wait_for_ready=True,
    )
    return answer.event_replay


@contextmanager
def held(system: LocalSystem, event_id: str, original: str) -> Iterator[None]:
    """Keeps whoever stores an event of this id waiting, and stores none in the end."""
    with database(system) as connection:
        connection.execute(HOLD, {"event_id": event_id, "original": original})
        try:
            yield
        finally:
            connection.rollback()


def waiting(system: LocalSystem) -> int:
    with database(system) as connection:
        found = connection.execute(WAITS).fetchone()
    return int(found[0]) if found is not None else 0


@pytest.mark.parametrize("process", ["events", "worker"])
def test_each_event_is_replayed_once(
    system: LocalSystem, channel: grpc.Channel, process: str
) -> None:
    name = f"to.replay.{uuid4().hex[:8]}"
    originals = send_events(system, channel, name)
    poll_until(
        lambda: replay(system, channel, name, dry_run=True).total_count == EVENTS,
        seconds=30,
        what="all events are matched",
    )
    begun = replay(system, channel, name)
    assert begun.total_count == EVENTS
    # Its first step is due in two seconds.
    with held(system, f"replay:{begun.id}:{originals[HELD]}", originals[HELD]):
        poll_until(lambda: waiting(system) > 0, seconds=30, what="a step waits", interval=0.02)
        before = get(system, channel, begun.id)
        assert before.state == STATE.STATE_RUNNING
        assert before.replayed_count == PER_SECOND
        killed = system.signal(process, signal.SIGKILL)
        assert killed is not None
        poll_until(
            lambda: system.pid(process) not in (None, killed),
            seconds=60,
            what=f"another {process}",
        )
    poll_until(
        lambda: get(system, channel, begun.id).state != STATE.STATE_RUNNING,
        seconds=90,
        what="the replay has ended",
    )
    ended = get(system, channel, begun.id)
    assert ended.state == STATE.STATE_SUCCEEDED, ended.error_message
    assert (ended.replayed_count, ended.refused_count, ended.skipped_count) == (EVENTS, 0, 0)
    with database(system) as connection:
        counts = connection.execute(REPLAYED, {"originals": originals}).fetchall()
    assert len(counts) == EVENTS
    assert {(events, told) for _, events, told in counts} == {(1, 1)}
