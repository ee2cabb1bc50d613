"""What is deleted is gone at once, and what services hold of it soon."""

import json
from collections.abc import Iterator
from uuid import uuid4

import grpc
import psycopg
import pytest

from kongflow.events.v1 import event_dispatcher_pb2, event_record_pb2
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
    """How much is stored of the environment, and how many queued jobs."""
    with psycopg.connect(system.connection()["database_url"]) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM events.event_records WHERE environment_id = %(id)s)"
            " + (SELECT count(*) FROM events.resource_events WHERE scope_id = %(id)s)"
            " + (SELECT count(*) FROM workerqueue.queued_jobs WHERE environment_id = %(id)s)",
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
        # Never delivered: there is a queued job for as long as the environment is there.
        request.deliver_after.FromSeconds(3_600)
        try:
            stub.SendEvent(request, metadata=metadata, timeout=TIMEOUT)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    for _ in range(3):
        assert send() is grpc.StatusCode.OK
    # The events, what the log says of each, and a queued job for each.
    poll_until(lambda: rows_of(system, environment_id) == 9, seconds=30, what="the queued jobs")
    deleted = system.kongflow("envs", "delete", environment_id)
    assert f"Deleted environment {environment_id}." in deleted.stderr
    poll_until(
        lambda: send() is grpc.StatusCode.UNAUTHENTICATED, seconds=10, what="the key is refused"
    )
    assert rows_of(system, environment_id) >= 9
    poll_until(
        lambda: rows_of(system, environment_id) == 0,
        seconds=90,
        what="all of it is purged",
        interval=1.0,
    )
    assert system.kongflow("envs", "get", environment_id, check=False).returncode != 0


def held_of(system: LocalSystem, account: str) -> tuple[int, int]:
    """How many events and runs are stored of the account with this record."""
    with psycopg.connect(system.connection()["database_url"]) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM events.event_records WHERE external_account_id = %(id)s),"
            " (SELECT count(*) FROM runs.job_runs WHERE external_account_id = %(id)s)",
            {"id": account},
        ).fetchone()
    return (int(found[0]), int(found[1])) if found is not None else (-1, -1)


def record_of(system: LocalSystem, account: str) -> str:
    with psycopg.connect(system.connection()["database_url"]) as connection:
        found = connection.execute(
            "SELECT id FROM events.external_accounts WHERE identifier = %s", [account]
        ).fetchone()
    return str(found[0]) if found is not None else ""


def test_a_deleted_account_leaves_neither_events_nor_runs_behind(
    system: LocalSystem, events: grpc.Channel
) -> None:
    stub = EventsServiceStub(events)
    account, name = f"account-{uuid4().hex[:8]}", f"of.account.{uuid4().hex[:8]}"
    dispatcher = event_dispatcher_pb2.EventDispatcher(
        dispatchable_id=str(uuid4()), event_names=[name]
    )
    dispatcher.dispatchable.job_version.job_id = str(uuid4())
    stub.UpsertEventDispatcher(
        events_pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher),
        metadata=system.metadata,
        timeout=TIMEOUT,
    )

    def send(account_id: str) -> str:
        request = events_pb.SendEventRequest(
            event=event_record_pb2.EventRecord(name=name), account_id=account_id
        )
        answer = stub.SendEvent(request, metadata=system.metadata, timeout=TIMEOUT)
        return str(answer.event_record.id)

    for _ in range(3):
        send(account)
    stays = send("somebody else")
    record = record_of(system, account)
    poll_until(lambda: held_of(system, record) == (3, 3), seconds=30, what="their runs")
    ended = system.kongflow("accounts", "delete", account)
    assert f"Deleted account {account}." in ended.stderr
    poll_until(lambda: held_of(system, record) == (0, 0), seconds=60, what="they are purged")
    poll_until(lambda: record_of(system, record) == "", seconds=60, what="the account is gone")
    refused = system.kongflow("accounts", "delete", account, check=False)
    assert refused.stderr == (
        f"kongflow: there is no account {account} in this environment (ACCOUNT_NOT_FOUND).\n"
    )
    answer = stub.GetEventRecord(
        events_pb.GetEventRecordRequest(id=stays), metadata=system.metadata, timeout=TIMEOUT
    )
    assert answer.event_record.account_id == "somebody else"
