"""Runs a job by its name, whatever its trigger."""

from dataclasses import dataclass
from uuid import UUID

from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_jobs.application.ports import (
    EventRecords,
    JobReader,
    NewEvent,
    NewRun,
    RunCreator,
)
from kongflow_jobs.application.test_job import StartedRun
from kongflow_jobs.domain.errors import JobNotFound, JobVersionNotFound
from kongflow_jobs.domain.job import JobPlace

EVENT_NAME = "invoke"
_SOURCE = "trigger.dev"


@dataclass(frozen=True, slots=True)
class InvokeJobCommand:
    """An invocation of the latest version of a job; `environment_slug` is for messages."""

    place: JobPlace
    environment_slug: str
    job: UUID | str
    payload: JsonDocument | None
    context: JsonDocument | None
    account_id: str
    idempotency_key: str


class InvokeJob:
    """Stores an event named `invoke`, and creates its run (docs/behaviour.md#invoke-job).

    The idempotency key is the event's id, and a run is unique by its event record: a key that is
    known answers with the first run.
    """

    def __init__(self, reader: JobReader, events: EventRecords, runs: RunCreator) -> None:
        self._reader = reader
        self._events = events
        self._runs = runs

    async def __call__(self, command: InvokeJobCommand) -> StartedRun:
        """The run. Raises JobNotFound, JobVersionNotFound and DependencyUnavailable."""
        job = await self._reader.find(command.place, command.job)
        if job is None:
            raise JobNotFound(command.job)
        version = job.latest
        if version is None:
            raise JobVersionNotFound(
                f"No version found for job {job.slug} in environment {command.environment_slug}",
                job=job.slug,
            )
        event = await self._events.store(
            NewEvent(
                place=command.place,
                event_id=command.idempotency_key or str(new_id()),
                name=EVENT_NAME,
                payload=command.payload,
                context=command.context,
                source=_SOURCE,
                account_id=command.account_id,
                is_test=False,
            )
        )
        run_id = await self._runs.create(
            NewRun(command.place, event, job.id, version.id, version.version, is_test=False)
        )
        return StartedRun(run_id, event.record_id, event.event_id)
