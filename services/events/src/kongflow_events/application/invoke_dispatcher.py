"""Creates the runs of dispatchers that took an event, many at a time."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_common.tracing import parse_traceparent
from kongflow_events.application.ports import (
    InvocationReader,
    InvokedDispatcher,
    InvokedEvent,
    NewRun,
    RunCreator,
)
from kongflow_events.application.task_outcome import DONE, TaskOutcome
from kongflow_events.domain.dispatchable import UnparsableDispatchable, parse_dispatchable
from kongflow_events.domain.errors import DispatcherNotFound, EventNotFound

__all__ = ["InvokeDispatcher", "InvokeDispatchers"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InvokeDispatcher:
    """A dispatcher to be invoked for an event."""

    dispatcher_id: UUID
    event_record_id: UUID
    environment_id: UUID | None
    traceparent: str


class InvokeDispatchers:
    """Invokes dispatchers: a run is created for the job of each.

    Idempotent, because runs are unique by event record, dispatcher and job. A disabled
    dispatcher, and one whose dispatchable this version cannot read, starts nothing. No
    transaction is open while runs are created. Raises DependencyUnavailable when nobody
    could be asked to create them.
    """

    def __init__(self, reader: InvocationReader, runs: RunCreator) -> None:
        self._reader = reader
        self._runs = runs

    async def __call__(self, commands: Sequence[InvokeDispatcher]) -> Sequence[TaskOutcome]:
        """What became of each command, in their order."""
        read = await self._reader.read(
            [
                (command.dispatcher_id, command.event_record_id, command.environment_id)
                for command in commands
            ]
        )
        outcomes: list[TaskOutcome] = [DONE] * len(commands)
        wanted: list[int] = []
        runs: list[NewRun] = []
        for index, (command, (dispatcher, event)) in enumerate(zip(commands, read, strict=True)):
            if dispatcher is None:
                outcomes[index] = DispatcherNotFound(command.dispatcher_id)
            elif event is None:
                outcomes[index] = EventNotFound(command.event_record_id)
            elif (run := _new_run(command, dispatcher, event)) is not None:
                wanted.append(index)
                runs.append(run)
        if not runs:
            return outcomes
        created = await self._runs.create_runs(runs)
        for index, run, answer in zip(wanted, runs, created, strict=True):
            if isinstance(answer, UUID):
                _log_invoked(run, answer)
            else:
                outcomes[index] = answer
        return outcomes


def _new_run(
    command: InvokeDispatcher, dispatcher: InvokedDispatcher, event: InvokedEvent
) -> NewRun | None:
    """The run that the dispatcher starts; None when it starts nothing."""
    if not dispatcher.enabled:
        _logger.info("dispatcher is disabled", extra=_extra(command.traceparent, dispatcher, event))
        return None
    try:
        dispatchable = parse_dispatchable(dispatcher.dispatchable)
    except UnparsableDispatchable:
        _logger.exception(
            "the dispatchable cannot be read; nothing is started",
            extra=_extra(command.traceparent, dispatcher, event),
        )
        return None
    return NewRun(
        event=event,
        dispatcher_id=dispatcher.id,
        job_id=dispatchable.job_id,
        alias=dispatchable.alias,
        version=dispatchable.version,
        version_id=dispatchable.version_id,
        traceparent=command.traceparent,
    )


def _extra(
    traceparent: str, dispatcher: InvokedDispatcher, event: InvokedEvent
) -> dict[str, object]:
    return _log_extra(
        traceparent,
        event_record_id=event.id,
        dispatcher_id=dispatcher.id,
        environment_id=event.tenancy.environment_id,
    )


def _log_invoked(run: NewRun, run_id: UUID) -> None:
    extra = _log_extra(
        run.traceparent,
        event_record_id=run.event.id,
        dispatcher_id=run.dispatcher_id,
        run_id=run_id,
        environment_id=run.event.tenancy.environment_id,
    )
    _logger.info("dispatcher invoked", extra=extra)


def _log_extra(traceparent: str, **fields: object) -> dict[str, object]:
    trace = parse_traceparent(traceparent)
    return {
        "trace_id": trace.trace_id if trace is not None else "",
        "fields": {name: str(value) for name, value in fields.items()},
    }
