"""Answers the other services: creates runs, and cancels those of an event."""

from uuid import UUID

from google.rpc import status_pb2

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.ids import id_text, parse_id
from kongflow_common.rpc.field_parsing import required_id
from kongflow_runs.application.cancel_run import CancelRunsOfEvent
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.application.unfinished_events import ListUnfinishedEvents
from kongflow_runs.domain.run import NewRun
from kongflow_runs.rpc import mapping
from kongflow_runs.rpc.error_catalog import CATALOG

MAX_REQUESTS = 10_000


class RunsInternalServicer:
    """kongflow.runs.internal.v1.RunsInternalService."""

    def __init__(
        self,
        create_run: CreateRun,
        cancel_runs_of_event: CancelRunsOfEvent,
        list_unfinished_events: ListUnfinishedEvents,
    ) -> None:
        self._create_run = create_run
        self._cancel_runs_of_event = cancel_runs_of_event
        self._list_unfinished_events = list_unfinished_events

    async def CreateRun(
        self, request: pb.CreateRunRequest, _context: object
    ) -> pb.CreateRunResponse:
        """Creates a run."""
        run_id = await self._create_run(mapping.new_run(request))
        return pb.CreateRunResponse(run_id=str(run_id))

    async def BatchCreateRuns(
        self, request: pb.BatchCreateRunsRequest, _context: object
    ) -> pb.BatchCreateRunsResponse:
        """Creates many runs, with one result each."""
        if len(request.requests) > MAX_REQUESTS:
            raise InvalidField("requests", f"has more than {MAX_REQUESTS} items")
        read = [_read(each) for each in request.requests]
        created = iter(
            await self._create_run.many([run for run in read if isinstance(run, NewRun)])
        )
        return pb.BatchCreateRunsResponse(
            results=[_result(next(created) if isinstance(run, NewRun) else run) for run in read]
        )

    async def ListUnfinishedEvents(
        self, request: pb.ListUnfinishedEventsRequest, _context: object
    ) -> pb.ListUnfinishedEventsResponse:
        """Says which event records have runs that have not ended."""
        if len(request.event_record_ids) > MAX_REQUESTS:
            raise InvalidField("event_record_ids", f"has more than {MAX_REQUESTS} items")
        unfinished = await self._list_unfinished_events(
            required_id(request.environment_id, "environment_id"),
            [parse_id(each, "event_record_ids") for each in request.event_record_ids],
        )
        return pb.ListUnfinishedEventsResponse(event_record_ids=map(str, unfinished))

    async def CancelRunsOfEvent(
        self, request: pb.CancelRunsOfEventRequest, _context: object
    ) -> pb.CancelRunsOfEventResponse:
        """Cancels the runs of an event record that have not ended."""
        outcome = await self._cancel_runs_of_event(
            required_id(request.environment_id, "environment_id"),
            required_id(request.event_record_id, "event_record_id"),
        )
        return pb.CancelRunsOfEventResponse(
            cancelled_run_ids=map(str, outcome.cancelled), failed_run_ids=map(str, outcome.failed)
        )


def _read(request: pb.CreateRunRequest) -> NewRun | InvalidField:
    try:
        return mapping.new_run(request)
    except InvalidField as error:
        return error


def _result(outcome: UUID | Exception) -> pb.CreateRunResult:
    if isinstance(outcome, Exception):
        return pb.CreateRunResult(status=CATALOG.status_of(outcome))
    return pb.CreateRunResult(status=status_pb2.Status(), run_id=id_text(outcome))
