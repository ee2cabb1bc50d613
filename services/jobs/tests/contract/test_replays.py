"""Domain events of jobs are published once more, over a real channel and in its transaction."""

import asyncio
from uuid import uuid4

import grpc
import pytest

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as internal_pb
from kongflow.jobs.tasks.v1 import jobs_tasks_service_pb2 as pb
from kongflow.jobs.tasks.v1.jobs_tasks_service_pb2_grpc import JobsTasksServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.eventing.domain_replays import ReplayDomainEvent, ReplayUnitOfWork
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.event_messages import to_message
from kongflow_common.eventing.layers import EventSink, LayeredPublisher
from kongflow_common.eventing.publisher import Always, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_common.testing.published import published_events
from kongflow_common.testing.refusals import refusal
from services.jobs.tests.conftest import described
from services.jobs.tests.contract.conftest import TIMEOUT, register


async def replay_of_a_registration(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> internal_pb.PublishedEvent:
    """What the events service sends for the registration of a job."""
    await register(server, here, described())
    [registered] = await published_events(database, "jobs")
    replay = internal_pb.PublishedEvent()
    replay.CopyFrom(registered)
    replay.id, replay.replay_of = str(new_id()), registered.id
    replay.time.GetCurrentTime()
    # It has long been shipped.
    await database.pool.execute("DELETE FROM jobs.published_events")
    return replay


async def carry_out(server: InProcessServer, event: internal_pb.PublishedEvent) -> None:
    await JobsTasksServiceStub(server.tasks_channel).ReplayDomainEvent(
        pb.ReplayDomainEventRequest(event=event),
        metadata=bearer(server.service_token()),
        timeout=TIMEOUT,
    )


async def test_a_registration_is_published_again_once(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> None:
    replay = await replay_of_a_registration(server, database, here)
    await asyncio.gather(*(carry_out(server, replay) for _ in range(5)))
    assert list(await published_events(database, "jobs")) == [replay]
    await database.pool.execute("DELETE FROM jobs.published_events")
    await carry_out(server, replay)
    assert list(await published_events(database, "jobs")) == []


@pytest.mark.parametrize("type_", ["event.delivered", "endpoint.index.success", "progress.updated"])
async def test_what_is_not_of_jobs_is_refused(
    server: InProcessServer, database: Database, here: EnvironmentScope, type_: str
) -> None:
    replay = await replay_of_a_registration(server, database, here)
    replay.type = type_
    with refusal() as refused:
        await carry_out(server, replay)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.fields) == ["event.type"]
    assert list(await published_events(database, "jobs")) == []


async def test_the_handlers_of_a_type_are_called_once_and_together_with_the_event(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> None:
    handled: list[PublishedEvent] = []
    refuses = True

    async def handler(_sink: EventSink, event: PublishedEvent) -> None:
        handled.append(event)
        if refuses:
            raise RuntimeError("not so")

    publisher = EventPublisher(Always(), SystemClock(), new_id)
    replay = ReplayDomainEvent(
        LayeredPublisher(publisher, {"job.registered": [handler]}),
        frozenset({"job"}),
        lambda: ReplayUnitOfWork(database, "jobs"),
    )
    event = await replay_of_a_registration(server, database, here)
    with pytest.raises(RuntimeError):
        await replay(event)
    assert list(await published_events(database, "jobs")) == []
    refuses = False
    handled.clear()
    await replay(event)
    await replay(event)
    assert [to_message(each) for each in handled] == [event]
    assert list(await published_events(database, "jobs")) == [event]


async def test_what_was_carried_out_is_forgotten_after_30_days(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> None:
    await database.pool.execute(
        "INSERT INTO jobs.replayed_events (id, replayed_at) SELECT %s, now() - interval '31 days'",
        [uuid4()],
    )
    replay = await replay_of_a_registration(server, database, here)
    await carry_out(server, replay)
    rows = await database.pool.execute("SELECT id::text FROM jobs.replayed_events")
    assert rows == [(replay.id,)]
