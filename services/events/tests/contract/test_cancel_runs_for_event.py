"""CancelRunsForEvent over a real channel."""

import grpc

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from kongflow_events.application.invocation_ports import CancelledRuns
from services.events.tests.events_context import EventsContext


async def test_the_runs_of_the_event_are_asked_for_by_its_record(context: EventsContext) -> None:
    record = await context.send(event_id="mine")
    context.canceller.answer = CancelledRuns([new_id(), new_id()], [new_id()])
    for request in (
        pb.CancelRunsForEventRequest(id=record.id),
        pb.CancelRunsForEventRequest(event_id="mine"),
    ):
        answer = await context.client.CancelRunsForEvent(
            request, metadata=context.as_sender, timeout=10
        )
        assert list(answer.cancelled_run_ids) == list(map(str, context.canceller.answer.cancelled))
        assert list(answer.failed_run_ids) == list(map(str, context.canceller.answer.failed))
    asked = [(str(environment), str(event)) for environment, event in context.canceller.calls]
    assert asked == [(str(context.environment.environment_id), record.id)] * 2


async def test_another_environments_event_is_not_found(context: EventsContext) -> None:
    record = await context.send(event_id="mine")
    other = context.server.credentials.add_environment()
    stranger = bearer(context.server.credentials.add_secret_key(other))
    for metadata, request in (
        (stranger, pb.CancelRunsForEventRequest(id=record.id)),
        (stranger, pb.CancelRunsForEventRequest(event_id="mine")),
        (context.as_sender, pb.CancelRunsForEventRequest(event_id="yours")),
    ):
        with refusal(grpc.StatusCode.NOT_FOUND) as refused:
            await context.client.CancelRunsForEvent(request, metadata=metadata, timeout=10)
        assert refused.reason == "EVENT_NOT_FOUND"
    assert context.canceller.calls == []
