"""What a system tells of itself, and what is published once more, over all its processes."""

import json
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
import redis

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.clock import SystemClock
from kongflow_common.eventing.declared_data import ProgressUpdated
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, published_event
from kongflow_common.eventing.event_messages import to_message
from kongflow_common.ids import new_id
from tests.example_endpoint import example_endpoint
from tests.local_system import LocalSystem, poll_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SECONDS = 30.0


def told(system: LocalSystem, *arguments: str) -> Any:
    """What a command prints as JSON."""
    return json.loads(system.kongflow(*arguments, "--json").stdout)


def log(system: LocalSystem, resource_id: str, *options: str) -> list[dict[str, Any]]:
    """What happened to a resource, the oldest first."""
    return list(told(system, "events", "log", "list", resource_id, *options)["items"])


def has(system: LocalSystem, resource_id: str, count: int, *options: str) -> list[dict[str, Any]]:
    """What happened to a resource, once it is so much."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = log(system, resource_id, *options)
        return len(found) >= count

    poll_until(is_there, seconds=SECONDS, what=f"{count} events of {resource_id}")
    return found


def is_idle(system: LocalSystem) -> bool:
    """Whether nothing is on its way: no job, and nothing that is published and not logged."""
    with psycopg.connect(system.connection()["database_url"]) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM workerqueue.queued_jobs WHERE kind LIKE '%replay%'"
            " AND state <> 'completed') + (SELECT count(*) FROM jobs.published_events)"
            " + (SELECT count(*) FROM tenancy.published_events)"
            " + (SELECT count(*) FROM events.outbox) + (SELECT count(*) FROM tenancy.outbox)"
        ).fetchone()
    return row == (0,)


def test_a_job_s_registration_is_published_again_by_its_owner(system: LocalSystem) -> None:
    with example_endpoint(system.connection()["api_key"]) as url:
        system.kongflow("endpoints", "create", "python-example", url)

        def is_registered() -> bool:
            # A list may have it on a later page.
            return system.kongflow("jobs", "get", "audit-order", check=False).returncode == 0

        poll_until(is_registered, seconds=SECONDS, what="the registration")
    job = told(system, "jobs", "get", "audit-order")
    first, *_ = has(system, job["id"], 1)
    assert first["type"] == "job.registered"
    before = len(log(system, job["id"]))
    replays = {
        told(system, "events", "log", "replay", first["id"], "--request-id", "r1")["id"]
        for _ in range(3)
    }
    [new_id] = replays
    *_, last = has(system, job["id"], before + 1)
    assert (last["id"], last["replay_of"]) == (new_id, first["id"])
    assert last["data"] == first["data"]
    # And that is all: a replay causes no further event.
    poll_until(lambda: is_idle(system), seconds=SECONDS, what="that nothing is on its way")
    assert len(log(system, job["id"])) == before + 1


def test_a_project_comes_into_the_log_and_is_replayed_by_tenancy(system: LocalSystem) -> None:
    [organization, *_] = told(system, "orgs", "list")["items"]
    slug = f"p-{uuid4().hex[:8]}"
    project = told(system, "projects", "create", slug, "--org", organization["id"])
    environment = told(
        system, "envs", "create", "dev", "--project", project["id"], "--type", "development"
    )
    here = ("--environment", environment["id"])
    [created] = has(system, project["id"], 1, *here)
    assert created["type"] == "project.created"
    assert created["data"]["value"]["name"] == slug
    replay = told(system, "events", "log", "replay", created["id"], *here)
    _, last = has(system, project["id"], 2, *here)
    assert (last["id"], last["replay_of"]) == (replay["id"], created["id"])
    # Another environment of another project sees neither.
    assert log(system, project["id"]) == []
    # Other tests take the newest project for the first one.
    system.kongflow("projects", "delete", project["id"])
    assert slug not in system.kongflow("projects", "list").stdout


def test_a_realtime_event_is_told_of_in_redis_when_it_is_logged(system: LocalSystem) -> None:
    # None of our services publishes one yet: tenancy ships it as one that it has published.
    resource_id = uuid4().hex
    event = published_event(
        DECLARED_TYPES["progress.updated"],
        resource_id,
        ProgressUpdated(project_id="p", step="build", progress=40, message="on it"),
        belonging=Belonging(organization_id=uuid4()),
        clock=SystemClock(),
        new_id=new_id,
    )
    events = pb.RecordResourceEventsRequest(events=[to_message(event)]).SerializeToString()
    with redis.Redis.from_url(system.connection()["redis_url"]) as client:
        channel = client.pubsub()
        channel.subscribe(f"realtime:{resource_id}")
        subscribed = channel.get_message(timeout=SECONDS)
        assert subscribed is not None
        with psycopg.connect(system.connection()["database_url"], autocommit=True) as connection:
            connection.execute(
                "INSERT INTO tenancy.published_events (id, events) VALUES (%s, %s)",
                [event.id, events],
            )
        message = channel.get_message(timeout=SECONDS)
        assert message is not None
        assert json.loads(message["data"]) == json.loads(orjson.dumps(event.document()))
        row = logged_type(system, event.id)
    assert row == ("progress.updated",)


def logged_type(system: LocalSystem, event_id: UUID) -> object:
    """What the log has of an event."""
    with psycopg.connect(system.connection()["database_url"]) as connection:
        return connection.execute(
            "SELECT type FROM events.resource_events WHERE id = %s", [event_id]
        ).fetchone()
