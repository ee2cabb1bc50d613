"""Runs a job as a test."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.errors import Contended
from kongflow_common.payload import JsonDocument
from kongflow_jobs.application.ports import (
    EventOfTest,
    EventRecords,
    JobReader,
    NewEvent,
    NewRun,
    RequestedTests,
    RunCreator,
    StoredEvent,
)
from kongflow_jobs.domain.errors import JobNotFound, JobVersionNotFound
from kongflow_jobs.domain.event_of_test import event_id_of_test, event_of
from kongflow_jobs.domain.job import JobPlace, JobVersion

_TRIES = 1_000


@dataclass(frozen=True, slots=True)
class TestJobCommand:
    """A test of a version, or of a job's latest one; one of the three keys is set."""

    # For pytest: it is no test of ours, whatever its name says.
    __test__: ClassVar = False

    place: JobPlace
    job: UUID | str | None
    version_id: UUID | None
    payload: JsonDocument | None
    account_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that was started by name, and the event that it is for."""

    run_id: UUID
    event_record_id: UUID
    event_id: str


class TestJob:
    """Stores an event for the job alone, and creates its run (docs/behaviour.md#test-job)."""

    __test__: ClassVar = False

    def __init__(
        self,
        reader: JobReader,
        events: EventRecords,
        runs: RunCreator,
        requests: RequestedTests,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._events = events
        self._runs = runs
        self._requests = requests
        self._clock = clock

    async def __call__(self, command: TestJobCommand) -> StartedRun:
        """The run. Raises JobNotFound, JobVersionNotFound and DependencyUnavailable."""
        version = await self._version(command)
        event = await self._event(command, version)
        run_id = await self._runs.create(
            NewRun(command.place, event, version.job_id, version.id, version.version, is_test=True)
        )
        return StartedRun(run_id, event.record_id, event.event_id)

    async def _version(self, command: TestJobCommand) -> JobVersion:
        environment_id = command.place.environment_id
        if command.version_id is not None:
            version = await self._reader.find_version(environment_id, command.version_id)
            if version is None:
                raise JobVersionNotFound(version_id=command.version_id)
            return version
        job = await self._reader.find(command.place, command.job or "")
        if job is None:
            raise JobNotFound(command.job)
        if job.latest is None:
            raise JobVersionNotFound(job=job.slug)
        return job.latest

    async def _event(self, command: TestJobCommand, version: JobVersion) -> StoredEvent:
        if not command.request_id:
            return await self._store(command, version)
        environment_id = command.place.environment_id
        known = await self._requests.find(environment_id, command.request_id)
        if known is None:
            event = await self._store(command, version)
            # Of two callers with one request id the second's event stays without a run.
            known = await self._requests.keep(
                environment_id, command.request_id, EventOfTest(version.id, event)
            )
        return known.event

    async def _store(self, command: TestJobCommand, version: JobVersion) -> StoredEvent:
        name, source = event_of(version.event_specification)
        milliseconds = int(self._clock.now().timestamp() * 1000)
        for later in range(_TRIES):
            stored = await self._events.store(
                NewEvent(
                    place=command.place,
                    event_id=event_id_of_test(name, milliseconds + later),
                    name=name,
                    payload=command.payload,
                    context=None,
                    source=source,
                    account_id=command.account_id,
                    is_test=True,
                )
            )
            # Else it is that of another test in the same millisecond: the next one is free.
            if stored.created:
                return stored
        raise Contended(f"there are too many tests of {name} at this moment")
