"""EventsTasksService: what the worker queue calls.

A single call is a batch of one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import grpc

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as pb
from kongflow.events.tasks.v1.events_tasks_service_pb2_grpc import EventsTasksServiceServicer
from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.auth.authenticator import ENVIRONMENT_METADATA
from kongflow_common.db.purge import PURGE_AGAIN_AFTER, PURGE_SECONDS, Purge
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.domain_replays import ReplayDomainEvent
from kongflow_common.ids import parse_id
from kongflow_common.rpc import task_results
from kongflow_common.rpc.envelope import origins_of_batch
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.field_parsing import bounded_int, required_id, shared_id
from kongflow_common.rpc.purge_call import purged_rows
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.advance_event_replay import AdvanceEventReplay
from kongflow_events.application.deliveries import DeliverEvent
from kongflow_events.application.end_event_replay import FailEventReplay
from kongflow_events.application.invoke_dispatcher import InvokeDispatcher, InvokeDispatchers
from kongflow_events.application.invoke_ephemeral_dispatcher import (
    ExpireDispatcher,
    InvokeEphemeralDispatcher,
)
from kongflow_events.application.purge_old_events import PurgeOldEvents
from kongflow_events.application.task_outcome import Done, Snooze, TaskOutcome

__all__ = ["EventsTasksServicer", "InvocationUseCases", "PurgeUseCases"]

_MAX_REVISION = 2**31 - 1
_LONGEST_REASON = 1_000

# Any: the context's request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]
_Request = TypeVar("_Request")
_Command = TypeVar("_Command")


@dataclass(frozen=True, slots=True)
class InvocationUseCases:
    """What is done with dispatchers that took an event, and with those whose time is over."""

    invoke: InvokeDispatchers
    invoke_ephemeral: InvokeEphemeralDispatcher
    expire: ExpireDispatcher


@dataclass(frozen=True, slots=True)
class PurgeUseCases:
    """What is deleted by the clock, and when an environment or an account is deleted."""

    old_events: PurgeOldEvents
    environment: Purge
    account: Purge


class EventsTasksServicer(EventsTasksServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(
        self,
        *,
        deliver_events: Callable[[Sequence[DeliverEvent]], Awaitable[Sequence[TaskOutcome]]],
        invocations: InvocationUseCases,
        advance_event_replay: AdvanceEventReplay,
        fail_event_replay: FailEventReplay,
        purges: PurgeUseCases,
        replay_domain_event: ReplayDomainEvent,
        catalog: ErrorCatalog,
    ) -> None:
        self._deliver_events = deliver_events
        self._invoke_dispatchers = invocations.invoke
        self._invoke_ephemeral_dispatcher = invocations.invoke_ephemeral
        self._expire_dispatcher = invocations.expire
        self._advance_event_replay = advance_event_replay
        self._fail_event_replay = fail_event_replay
        self._purges = purges
        self._replay_domain_event = replay_domain_event
        self._catalog = catalog

    async def DeliverEvent(
        self, request: pb.DeliverEventRequest, context: _Context
    ) -> pb.DeliverEventResponse:
        command = _to_deliver_event(request, _environment(context), current_traceparent())
        [outcome] = await self._deliver_events([command])
        _answer(outcome, context)
        return pb.DeliverEventResponse()

    async def BatchDeliverEvents(
        self, request: pb.BatchDeliverEventsRequest, context: _Context
    ) -> pb.BatchDeliverEventsResponse:
        outcomes = await _each(
            request.requests, request.envelopes, _to_deliver_event, self._deliver_events
        )
        return pb.BatchDeliverEventsResponse(
            results=task_results.job_results(outcomes, self._catalog)
        )

    async def InvokeDispatcher(
        self, request: pb.InvokeDispatcherRequest, context: _Context
    ) -> pb.InvokeDispatcherResponse:
        command = _to_invoke_dispatcher(request, _environment(context), current_traceparent())
        [outcome] = await self._invoke_dispatchers([command])
        _answer(outcome, context)
        return pb.InvokeDispatcherResponse()

    async def BatchInvokeDispatchers(
        self, request: pb.BatchInvokeDispatchersRequest, context: _Context
    ) -> pb.BatchInvokeDispatchersResponse:
        outcomes = await _each(
            request.requests, request.envelopes, _to_invoke_dispatcher, self._invoke_dispatchers
        )
        return pb.BatchInvokeDispatchersResponse(
            results=task_results.job_results(outcomes, self._catalog)
        )

    async def InvokeEphemeralDispatcher(
        self, request: pb.InvokeEphemeralDispatcherRequest, context: _Context
    ) -> pb.InvokeEphemeralDispatcherResponse:
        outcome = await self._invoke_ephemeral_dispatcher(
            _required_environment(context),
            required_id(request.dispatcher_id, "dispatcher_id"),
            required_id(request.event_record_id, "event_record_id"),
        )
        _answer(outcome, context)
        return pb.InvokeEphemeralDispatcherResponse()

    async def ExpireDispatcher(
        self, request: pb.ExpireDispatcherRequest, context: _Context
    ) -> pb.ExpireDispatcherResponse:
        await self._expire_dispatcher(
            _required_environment(context), required_id(request.dispatcher_id, "dispatcher_id")
        )
        return pb.ExpireDispatcherResponse()

    async def AdvanceEventReplay(
        self, request: pb.AdvanceEventReplayRequest, context: _Context
    ) -> pb.AdvanceEventReplayResponse:
        outcome = await self._advance_event_replay(
            _required_environment(context),
            required_id(request.event_replay_id, "event_replay_id"),
        )
        _answer(outcome, context)
        return pb.AdvanceEventReplayResponse()

    async def FailEventReplay(
        self, request: pb.FailEventReplayRequest, context: _Context
    ) -> pb.FailEventReplayResponse:
        await self._fail_event_replay(
            _required_environment(context),
            required_id(request.request.event_replay_id, "request.event_replay_id"),
            f"given up after {request.discard.attempts} attempts: "
            f"{request.discard.status.message[:_LONGEST_REASON]}",
        )
        return pb.FailEventReplayResponse()

    async def PurgeOldEvents(
        self, request: pb.PurgeOldEventsRequest, context: _Context
    ) -> pb.PurgeOldEventsResponse:
        purged = await self._purges.old_events(seconds=PURGE_SECONDS)
        if not purged.complete:
            task_results.say_snooze(context, task_results.Snooze(PURGE_AGAIN_AFTER))
        return pb.PurgeOldEventsResponse(deleted=purged.events, deleted_accounts=purged.accounts)

    async def PurgeEnvironment(
        self, request: pb.PurgeEnvironmentRequest, context: _Context
    ) -> pb.PurgeEnvironmentResponse:
        deleted = await purged_rows(self._purges.environment, request.event.resource_id, context)
        return pb.PurgeEnvironmentResponse(deleted=deleted)

    async def PurgeAccount(
        self, request: pb.PurgeAccountRequest, context: _Context
    ) -> pb.PurgeAccountResponse:
        deleted = await purged_rows(self._purges.account, request.event.resource_id, context)
        return pb.PurgeAccountResponse(deleted=deleted)

    async def ReplayDomainEvent(
        self, request: pb.ReplayDomainEventRequest, context: _Context
    ) -> pb.ReplayDomainEventResponse:
        await self._replay_domain_event(request.event)
        return pb.ReplayDomainEventResponse()


def _to_deliver_event(
    request: pb.DeliverEventRequest, environment_id: UUID | None, traceparent: str
) -> DeliverEvent:
    return DeliverEvent(
        event_record_id=required_id(request.event_record_id, "event_record_id"),
        delivery_revision=bounded_int(
            request.delivery_revision, "delivery_revision", at_least=1, at_most=_MAX_REVISION
        ),
        environment_id=environment_id,
        traceparent=traceparent,
    )


def _to_invoke_dispatcher(
    request: pb.InvokeDispatcherRequest, environment_id: UUID | None, traceparent: str
) -> InvokeDispatcher:
    return InvokeDispatcher(
        dispatcher_id=shared_id(request.dispatcher_id, "dispatcher_id"),
        event_record_id=required_id(request.event_record_id, "event_record_id"),
        environment_id=environment_id,
        traceparent=traceparent,
    )


async def _each(
    requests: Sequence[_Request],
    envelopes: Sequence[envelope_pb2.Envelope],
    to_command: Callable[[_Request, UUID | None, str], _Command],
    use_case: Callable[[Sequence[_Command]], Awaitable[Sequence[TaskOutcome]]],
) -> list[task_results.TaskOutcome]:
    """Run a batch: one outcome per request; one that cannot be read fails alone."""
    outcomes: list[task_results.TaskOutcome] = [None] * len(requests)
    places: list[int] = []
    commands: list[_Command] = []
    # As a list: a repeated field looks for the object of a message each time.
    for place, (request, origin) in enumerate(
        zip(list(requests), origins_of_batch(requests, envelopes), strict=True)
    ):
        try:
            command = to_command(request, *origin)
        except InvalidField as error:
            outcomes[place] = error.within(f"requests[{place}]")
        else:
            places.append(place)
            commands.append(command)
    if commands:
        for place, outcome in zip(places, await use_case(commands), strict=True):
            outcomes[place] = _to_result(outcome)
    return outcomes


def _to_result(outcome: TaskOutcome) -> task_results.TaskOutcome:
    if isinstance(outcome, Done):
        return None
    if isinstance(outcome, Snooze):
        return task_results.Snooze(outcome.delay)
    return outcome


def _answer(outcome: TaskOutcome, context: _Context) -> None:
    """Say what became of a single call."""
    if isinstance(outcome, Snooze):
        task_results.say_snooze(context, task_results.Snooze(outcome.delay))
    elif isinstance(outcome, Exception):
        raise outcome


def _environment(context: _Context) -> UUID | None:
    """The environment that the envelope of a single call names."""
    for name, value in context.invocation_metadata() or ():
        if name == ENVIRONMENT_METADATA and isinstance(value, str):
            return parse_id(value, ENVIRONMENT_METADATA)
    return None


def _required_environment(context: _Context) -> UUID:
    environment_id = _environment(context)
    if environment_id is None:
        raise InvalidField(ENVIRONMENT_METADATA, "is required: what it is about belongs to one")
    return environment_id
