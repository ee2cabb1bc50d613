"""Starts what dispatchers that took an event start, many at a time."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never
from uuid import UUID

from kongflow_common.ids import id_text
from kongflow_common.logging import log_each
from kongflow_common.tracing import trace_id_of
from kongflow_events.application.invocation_ports import (
    DynamicTriggerJobs,
    EphemeralDesk,
    InvocationReader,
    InvokedDispatcher,
    InvokedEvent,
    NewRun,
    RunCreator,
)
from kongflow_events.application.task_outcome import DONE, TaskOutcome
from kongflow_events.domain.dispatchable import (
    Dispatchable,
    DynamicTrigger,
    Ephemeral,
    JobVersion,
    UnparsableDispatchable,
    parse_dispatchable,
)
from kongflow_events.domain.errors import DispatcherNotFound, EventNotFound

__all__ = ["InvokeDispatcher", "InvokeDispatchers"]

_logger = logging.getLogger(__name__)

# As many as the runs service takes in one call.
_RUNS_AT_ONCE: Final = 10_000


# Not frozen, as NewEvent.
@dataclass(slots=True)
class InvokeDispatcher:
    """A dispatcher to be invoked for an event."""

    dispatcher_id: UUID
    event_record_id: UUID
    environment_id: UUID | None
    traceparent: str


class InvokeDispatchers:
    """Invokes dispatchers: a run for the job of each, or for each job of its dynamic trigger.

    Idempotent, because runs are unique by event record, dispatcher and job. An ephemeral one is
    claimed for the event, and its call enqueued. A disabled dispatcher, and one whose
    dispatchable this version cannot read, starts nothing. No transaction is open while runs are
    created. Raises DependencyUnavailable when nobody could be asked to create them.
    """

    def __init__(
        self,
        reader: InvocationReader,
        runs: RunCreator,
        triggers: DynamicTriggerJobs,
        ephemeral: EphemeralDesk,
    ) -> None:
        self._reader = reader
        self._runs = runs
        self._triggers = triggers
        self._ephemeral = ephemeral

    async def __call__(self, commands: Sequence[InvokeDispatcher]) -> Sequence[TaskOutcome]:
        """What became of each command, in their order."""
        read = await self._reader.read(
            [
                (command.dispatcher_id, command.event_record_id, command.environment_id)
                for command in commands
            ]
        )
        outcomes: list[TaskOutcome] = [DONE] * len(commands)
        runs: list[tuple[int, NewRun]] = []
        triggered: list[tuple[int, _Invocation, DynamicTrigger]] = []
        for index, (command, (dispatcher, event)) in enumerate(zip(commands, read, strict=True)):
            if dispatcher is None:
                outcomes[index] = DispatcherNotFound(command.dispatcher_id)
                continue
            if event is None:
                outcomes[index] = EventNotFound(command.event_record_id)
                continue
            invocation = _Invocation(dispatcher.id, event, command.traceparent)
            match _dispatchable(command, dispatcher, event):
                case None:
                    pass
                case JobVersion() as job:
                    runs.append((index, _run_of(invocation, job)))
                case DynamicTrigger() as trigger:
                    triggered.append((index, invocation, trigger))
                case Ephemeral():
                    _ = await self._ephemeral.claim(dispatcher.id, event, command.traceparent)
                case unknown:
                    assert_never(unknown)
        runs.extend(await self._runs_of_triggers(triggered))
        for start in range(0, len(runs), _RUNS_AT_ONCE):
            await self._create(runs[start : start + _RUNS_AT_ONCE], outcomes)
        return outcomes

    async def _runs_of_triggers(
        self, triggered: Sequence[tuple[int, "_Invocation", DynamicTrigger]]
    ) -> Sequence[tuple[int, NewRun]]:
        """A run for each job of each trigger; a trigger without jobs starts nothing."""
        wanted: dict[UUID, dict[UUID, None]] = {}
        for _, invocation, trigger in triggered:
            environment_id = invocation.event.tenancy.environment_id
            wanted.setdefault(environment_id, {})[trigger.trigger_id] = None
        jobs = {
            environment_id: await self._triggers.jobs_of(environment_id, list(trigger_ids))
            for environment_id, trigger_ids in wanted.items()
        }
        return [
            (index, _run_of(invocation, JobVersion(job_id)))
            for index, invocation, trigger in triggered
            for job_id in jobs[invocation.event.tenancy.environment_id].get(trigger.trigger_id, ())
        ]

    async def _create(
        self, runs: Sequence[tuple[int, NewRun]], outcomes: list[TaskOutcome]
    ) -> None:
        created = await self._runs.create_runs([run for _, run in runs])
        invoked: list[tuple[str, Mapping[str, object]]] = []
        for (index, run), answer in zip(runs, created, strict=True):
            if isinstance(answer, UUID):
                invoked.append(_line(run, answer))
            else:
                outcomes[index] = answer
        log_each(_logger, "dispatcher invoked", invoked)


@dataclass(frozen=True, slots=True)
class _Invocation:
    """A dispatcher that is invoked for an event."""

    dispatcher_id: UUID
    event: InvokedEvent
    traceparent: str


def _dispatchable(
    command: InvokeDispatcher, dispatcher: InvokedDispatcher, event: InvokedEvent
) -> Dispatchable | None:
    """What the dispatcher starts; None when it starts nothing."""
    if not dispatcher.enabled:
        _logger.info("dispatcher is disabled", extra=_extra(command.traceparent, dispatcher, event))
        return None
    try:
        return parse_dispatchable(dispatcher.dispatchable)
    except UnparsableDispatchable:
        _logger.exception(
            "the dispatchable cannot be read; nothing is started",
            extra=_extra(command.traceparent, dispatcher, event),
        )
        return None


def _run_of(invocation: _Invocation, job: JobVersion) -> NewRun:
    return NewRun(
        event=invocation.event,
        dispatcher_id=invocation.dispatcher_id,
        job_id=job.job_id,
        alias=job.alias,
        version=job.version,
        version_id=job.version_id,
        traceparent=invocation.traceparent,
    )


def _extra(
    traceparent: str, dispatcher: InvokedDispatcher, event: InvokedEvent
) -> dict[str, object]:
    return {
        "trace_id": trace_id_of(traceparent),
        "fields": {
            "event_record_id": id_text(event.id),
            "dispatcher_id": id_text(dispatcher.id),
            "environment_id": id_text(event.tenancy.environment_id),
        },
    }


def _line(run: NewRun, run_id: UUID) -> tuple[str, Mapping[str, object]]:
    return trace_id_of(run.traceparent), {
        "event_record_id": id_text(run.event.id),
        "dispatcher_id": id_text(run.dispatcher_id),
        "run_id": id_text(run_id),
        "environment_id": id_text(run.event.tenancy.environment_id),
    }
