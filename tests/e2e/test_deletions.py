"""A deleted environment takes its keys along at once, and what services hold of it soon."""

import json
from collections.abc import Iterator
from uuid import uuid4

import grpc
import psycopg
import pytest

from kongflow.events.v1 import event_record_pb2
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from tests.local_system import LocalSystem, poll_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TIMEOUT = 10


@pytest.fixture
def events(system: LocalSystem) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(system.target("events")) as channel:
        yield channel


def rows_of(system: LocalSystem, environment_id: str) -> int:
    """How many events and dispatchers of the environment are stored."""
    with psycopg.connect(system.connection()["database_url"]) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM events.event_records WHERE environment_id = %(id)s)"
            " + (SELECT count(*) FROM events.event_dispatchers WHERE environment_id = %(id)s)",
            {"id": environment_id},
        ).fetchone()
    return int(found[0]) if found is not None else -1


def test_a_deleted_environment_leaves_no_events_behind(
    system: LocalSystem, events: grpc.Channel
) -> None:
    [project] = json.loads(system.kongflow("projects", "list", "--json").stdout)["items"][:1]
    slug = f"gone-{uuid4().hex[:8]}"
    made = system.kongflow(
        "envs", "create", slug, "--project", project["id"], "--type", "preview", "--json"
    )
    environment_id = json.loads(made.stdout)["id"]
    key = system.kongflow("keys", "create", "--environment", environment_id).stdout.splitlines()[0]
    metadata = (("authorization", f"Bearer {key}"),)
    stub = EventsServiceStub(events)

    def send() -> grpc.StatusCode:
        request = events_pb.SendEventRequest(event=event_record_pb2.EventRecord(name="last.words"))
        try:
            stub.SendEvent(request, metadata=metadata, timeout=TIMEOUT)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    for _ in range(3):
        assert send() is grpc.StatusCode.OK
    assert rows_of(system, environment_id) == 3
    deleted = system.kongflow("envs", "delete", environment_id)
    assert f"Deleted environment {environment_id}." in deleted.stderr
    poll_until(
        lambda: send() is grpc.StatusCode.UNAUTHENTICATED, seconds=10, what="the key is refused"
    )
    assert rows_of(system, environment_id) >= 3
    poll_until(
        lambda: rows_of(system, environment_id) == 0,
        seconds=90,
        what="the events are purged",
        interval=1.0,
    )
    assert system.kongflow("envs", "get", environment_id, check=False).returncode != 0
