"""What the others are told of runs."""

from collections.abc import Mapping
from uuid import UUID

from kongflow_common.eventing.declared_data import RunCompleted, RunCreated, RunStarted
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.publisher import IntegrationEvents
from kongflow_common.ids import id_text
from kongflow_common.outbox.message import OutboxMessage
from kongflow_runs.domain.run import ENDED, NewRun, RunState

__all__ = ["RUN_COMPLETED", "RunNews"]

RUN_COMPLETED: Mapping[RunState, EventType] = {
    state: DECLARED_TYPES[f"run.completed.{state.value.lower()}"] for state in ENDED
}
"""The type of event that says that a run has ended in a state."""


_CREATED = DECLARED_TYPES["run.created"]
_STARTED = DECLARED_TYPES["run.started"]


class RunNews:
    """Makes what says that runs are created, have started, and have ended."""

    def __init__(self, events: IntegrationEvents) -> None:
        self._events = events

    async def wanted(self, state: RunState) -> bool:
        """Whether anybody consumes that a run has ended in this state; logged it is anyway."""
        type_ = RUN_COMPLETED.get(state)
        return type_ is not None and await self._events.wanted(type_)

    def created(self, run: NewRun) -> PublishedEvent:
        """Says that a run is stored."""
        data = RunCreated(
            job_id=id_text(run.job_id),
            event_record_id=id_text(run.event_record_id),
            dispatcher_id=id_text(run.dispatcher_id) if run.dispatcher_id is not None else None,
        )
        return self._events.event(
            _CREATED, id_text(run.id), data, belonging=Belonging(run.environment_id)
        )

    def started(self, environment_id: UUID, run_id: UUID, queued_job_id: UUID) -> PublishedEvent:
        """Says that a queued job has begun to execute a run."""
        return self._events.event(
            _STARTED,
            id_text(run_id),
            RunStarted(queued_job_id=id_text(queued_job_id)),
            belonging=Belonging(environment_id),
        )

    def ended(
        self,
        environment_id: UUID,
        run_id: UUID,
        state: RunState,
        *,
        job_slug: str | None,
        job_version: str | None,
    ) -> PublishedEvent:
        """Says that a run has ended; a job that was never found out is left out."""
        return self._events.event(
            RUN_COMPLETED[state],
            id_text(run_id),
            RunCompleted(state=state.value, job_slug=job_slug, job_version=job_version),
            belonging=Belonging(environment_id),
        )

    def enqueued(self, event: PublishedEvent) -> OutboxMessage:
        """The message to those who consume it."""
        return self._events.enqueued(event)
