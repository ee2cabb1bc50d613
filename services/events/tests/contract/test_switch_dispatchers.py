"""Dispatchers are enabled, disabled and deleted, over a real channel."""

import grpc
import pytest

from kongflow.events.internal.v1 import events_internal_service_pb2 as internal_pb
from kongflow.events.internal.v1.events_internal_service_pb2_grpc import (
    EventsInternalServiceStub,
)
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_dispatcher_pb2 import EventDispatcher
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext

TIMEOUT = 10.0
SWITCHES = ("EnableEventDispatcher", "DisableEventDispatcher", "DeleteEventDispatcher")


async def switch(context: EventsContext, method: str, key: str = "", **more: object) -> object:
    """Calls one of SWITCHES for a dispatchable id, or for `id=`."""
    given = more.pop("id", None)
    fields = {"id": given} if given is not None else {"dispatchable_id": key}
    request = getattr(pb, f"{method}Request")(**fields)
    metadata = more.pop("metadata", context.as_sender)
    return await getattr(context.client, method)(request, metadata=metadata, timeout=TIMEOUT)


async def test_a_disabled_dispatcher_takes_nothing_until_it_is_enabled(
    context: EventsContext,
) -> None:
    stored = (await context.put(payload_filter={"n": [1]})).event_dispatcher
    disabled = await switch(context, "DisableEventDispatcher", "job")
    assert isinstance(disabled, pb.DisableEventDispatcherResponse)
    assert not disabled.event_dispatcher.enabled
    assert disabled.event_dispatcher.generation == stored.generation + 1
    assert disabled.event_dispatcher.payload_filter == stored.payload_filter
    again = await switch(context, "DisableEventDispatcher", id=stored.id)
    assert again == disabled
    missed = await context.send(payload={"n": 1})
    await context.deliver(missed)
    assert (await context.get(missed.id)).matched_count == 0
    enabled = await switch(context, "EnableEventDispatcher", id=stored.id)
    assert isinstance(enabled, pb.EnableEventDispatcherResponse)
    assert enabled.event_dispatcher.enabled
    taken = await context.send(payload={"n": 1})
    await context.deliver(taken)
    assert (await context.get(taken.id)).matched_count == 1


async def test_what_a_disabled_dispatcher_took_before_starts_nothing(
    context: EventsContext,
) -> None:
    dispatcher = (await context.put()).event_dispatcher
    record = await context.send()
    await context.deliver(record)
    await context.enqueued("events.invokeDispatcher", 1)
    await switch(context, "DisableEventDispatcher", "job")
    [result] = await context.invoke((dispatcher.id, record.id))
    assert result.status.code == 0
    assert context.runs.runs == {}


@pytest.mark.parametrize("method", ["DisableEventDispatcher", "DeleteEventDispatcher"])
async def test_the_next_event_finds_it_so_where_dispatchers_are_in_memory(
    matching_context: EventsContext, method: str
) -> None:
    context = matching_context
    await context.put("gone")
    await context.put("stays")

    async def both_are_known() -> bool:
        return (await context.send()).matched_count == 2

    await eventually(both_are_known)
    for _ in range(5):
        await switch(context, method, "gone")
        record = await context.send()
        await context.deliver(record)
        assert (await context.get(record.id)).matched_count == 1
        await context.put("gone")
        await eventually(both_are_known)


async def test_a_deleted_dispatcher_is_gone_with_its_id_free(context: EventsContext) -> None:
    first = (await context.put()).event_dispatcher
    await switch(context, "DeleteEventDispatcher", "job")
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await switch(context, "DeleteEventDispatcher", "job")
    assert refused.reason == "DISPATCHER_NOT_FOUND"
    second = (await context.put()).event_dispatcher
    assert second.id != first.id
    assert second.generation == 1


@pytest.mark.parametrize("method", SWITCHES)
async def test_what_is_not_there_or_another_environments_is_not_found(
    context: EventsContext, method: str
) -> None:
    stored = (await context.put()).event_dispatcher
    other = context.server.credentials.add_environment()
    stranger = bearer(context.server.credentials.add_secret_key(other))
    for key, metadata in (
        (str(new_id()), context.as_sender),
        (stored.id, stranger),
    ):
        with refusal(grpc.StatusCode.NOT_FOUND) as refused:
            await switch(context, method, id=key, metadata=metadata)
        assert refused.reason == "DISPATCHER_NOT_FOUND"
    with refusal(grpc.StatusCode.INVALID_ARGUMENT):
        await switch(context, method, "")
    with refusal(grpc.StatusCode.INVALID_ARGUMENT):
        await switch(context, method, id="not-an-id")


@pytest.mark.parametrize("method", SWITCHES)
async def test_that_of_a_registered_job_is_left_to_its_job(
    context: EventsContext, method: str
) -> None:
    scope = context.environment
    request = internal_pb.PutEventDispatcherRequest(
        environment_id=str(scope.environment_id),
        project_id=str(scope.project_id),
        organization_id=str(scope.organization_id),
        event_dispatcher=EventDispatcher(dispatchable_id="job", event_names=["order.created"]),
        generation=7,
        enabled=method != "EnableEventDispatcher",
    )
    job_version = request.event_dispatcher.dispatchable.job_version
    job_version.job_id, job_version.version_id = str(new_id()), str(new_id())
    put = await EventsInternalServiceStub(context.server.tasks_channel).PutEventDispatcher(
        request, metadata=bearer(context.server.service_token("jobs")), timeout=TIMEOUT
    )
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await switch(context, method, "job")
    assert refused.reason == "DISPATCHER_KEPT"
    answer = await context.client.GetEventDispatcher(
        pb.GetEventDispatcherRequest(id=put.event_dispatcher_id),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    assert answer.event_dispatcher.enabled == request.enabled
    assert answer.event_dispatcher.generation == 7


async def put_trigger(context: EventsContext, trigger_id: str) -> str:
    """A dispatcher of a dynamic trigger; answers its id."""
    dispatcher = EventDispatcher(dispatchable_id="trigger", event_names=["order.created"])
    dispatcher.dispatchable.dynamic_trigger.dynamic_trigger_id = trigger_id
    answer = await context.client.UpsertEventDispatcher(
        pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    assert answer.event_dispatcher.dispatchable == dispatcher.dispatchable
    return answer.event_dispatcher.id


async def delivered(context: EventsContext) -> EventRecord:
    record = await context.send()
    await context.deliver(record)
    return record


async def test_a_dynamic_trigger_starts_a_run_for_each_of_its_jobs(context: EventsContext) -> None:
    trigger_id, jobs = new_id(), [new_id(), new_id(), new_id()]
    dispatcher_id = await put_trigger(context, str(trigger_id))
    context.triggers.jobs[context.environment.environment_id, trigger_id] = jobs
    # The same trigger's jobs elsewhere are not this environment's.
    context.triggers.jobs[new_id(), trigger_id] = [new_id()]
    record = await delivered(context)
    other = (await context.put("job", job_id=new_id())).event_dispatcher.id
    for _ in range(2):
        results = await context.invoke((other, record.id), (dispatcher_id, record.id))
        assert [result.status.code for result in results] == [0, 0]
    [runs, _] = context.runs.calls
    of_trigger = [run for run in runs if str(run.dispatcher_id) == dispatcher_id]
    assert [run.job_id for run in of_trigger] == jobs
    assert {(run.alias, run.version, run.version_id) for run in of_trigger} == {
        ("latest", None, None)
    }
    assert len(context.runs.runs) == 4


async def test_a_trigger_without_jobs_starts_nothing(context: EventsContext) -> None:
    dispatcher_id = await put_trigger(context, str(new_id()))
    record = await delivered(context)
    [result] = await context.invoke((dispatcher_id, record.id))
    assert result.status.code == 0
    assert context.runs.calls == []


async def test_jobs_that_nobody_can_name_now_cost_no_attempt(context: EventsContext) -> None:
    dispatcher_id = await put_trigger(context, str(new_id()))
    record = await delivered(context)
    context.triggers.failure = DependencyUnavailable("triggers")
    with refusal(grpc.StatusCode.UNAVAILABLE):
        await context.invoke((dispatcher_id, record.id))
