"""The three layers inside a real unit of work: logged with the commit, or not at all."""

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.eventing.declared_data import (
    DeploymentFailed,
    ProgressUpdated,
    ProjectCreated,
)
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.event_type import InvalidEventType
from kongflow_common.eventing.layers import EventSink, LayeredPublisher
from kongflow_common.eventing.publisher import PUBLISH, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.testing.published import published_events
from kongflow_common.testing.worker_queue import RecordingWorkerQueue

CREATED = DECLARED_TYPES["project.created"]
FAILED = DECLARED_TYPES["deployment.failed"]
PROGRESS = DECLARED_TYPES["progress.updated"]
OF_PROJECT = ProjectCreated(project_id="p", name="Shop", organization_id="o", created_by="ada")
OF_FAILURE = DeploymentFailed(deployment_id="d", project_id="p", message="no")
OF_PROGRESS = ProgressUpdated(project_id="p", step="build", progress=7, message="on it")


class Handled:
    """A handler that remembers, or refuses."""

    def __init__(self) -> None:
        self.events: list[PublishedEvent] = []
        self.refuses = False

    async def __call__(self, _sink: EventSink, event: PublishedEvent) -> None:
        if self.refuses:
            raise RuntimeError("not so")
        self.events.append(event)


@pytest.fixture
def handled() -> Handled:
    return Handled()


@pytest.fixture
def interest() -> FixedInterest:
    return FixedInterest()


@pytest.fixture
def layers(handled: Handled, interest: FixedInterest) -> LayeredPublisher:
    publisher = EventPublisher(interest, FixedClock(), new_id)
    return LayeredPublisher(publisher, {CREATED.name: [handled]})


@pytest.fixture
def belonging() -> Belonging:
    return Belonging(project_id=new_id())


async def logged(database: Database, belonging: Belonging) -> list[str]:
    return [
        event.type
        for event in await published_events(database, "endpoints")
        if event.project_id == str(belonging.project_id)
    ]


async def test_every_layer_is_logged_with_the_commit(
    database: Database,
    relay: OutboxRelay,
    layers: LayeredPublisher,
    handled: Handled,
    interest: FixedInterest,
    belonging: Belonging,
    worker_queue: RecordingWorkerQueue,
) -> None:
    interest.types.add(FAILED.name)
    async with OutboxUnitOfWork(database, relay) as uow:
        created = await layers.publish_domain(uow, CREATED, "p", OF_PROJECT, belonging=belonging)
        failed = await layers.publish_integration(uow, FAILED, "d", OF_FAILURE, belonging=belonging)
        await layers.publish_realtime(uow, PROGRESS, "p", OF_PROGRESS, belonging=belonging)
        assert await logged(database, belonging) == []
        await uow.commit()
    assert await logged(database, belonging) == [CREATED.name, FAILED.name, PROGRESS.name]
    assert handled.events == [created]
    [message] = await worker_queue.wait_for(PUBLISH)
    assert str(failed.id).encode() in message.args


async def test_what_a_handler_refuses_has_not_happened(
    database: Database,
    relay: OutboxRelay,
    layers: LayeredPublisher,
    handled: Handled,
    belonging: Belonging,
) -> None:
    handled.refuses = True

    async def publish() -> None:
        async with OutboxUnitOfWork(database, relay) as uow:
            await layers.publish_realtime(uow, PROGRESS, "p", OF_PROGRESS, belonging=belonging)
            await layers.publish_domain(uow, CREATED, "p", OF_PROJECT, belonging=belonging)
            await uow.commit()

    with pytest.raises(RuntimeError, match="not so"):
        await publish()
    assert await logged(database, belonging) == []


async def test_what_nobody_consumes_is_logged_and_not_enqueued(
    database: Database, relay: OutboxRelay, layers: LayeredPublisher, belonging: Belonging
) -> None:
    async with OutboxUnitOfWork(database, relay) as uow:
        await layers.publish_integration(uow, FAILED, "d", OF_FAILURE, belonging=belonging)
        assert not uow.outbox.messages
        await uow.commit()
    assert await logged(database, belonging) == [FAILED.name]


async def test_a_type_is_published_in_its_layer_only(
    database: Database, relay: OutboxRelay, layers: LayeredPublisher, belonging: Belonging
) -> None:
    async with OutboxUnitOfWork(database, relay) as uow:
        with pytest.raises(InvalidEventType, match="realtime"):
            await layers.publish_domain(uow, PROGRESS, "p", OF_PROGRESS, belonging=belonging)
        with pytest.raises(InvalidEventType, match="domain"):
            await layers.publish_integration(uow, CREATED, "p", OF_PROJECT, belonging=belonging)
        with pytest.raises(InvalidEventType, match="integration"):
            await layers.publish_realtime(uow, FAILED, "p", OF_FAILURE, belonging=belonging)
        assert not uow.published.events
