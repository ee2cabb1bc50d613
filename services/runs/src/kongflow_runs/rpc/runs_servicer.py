"""Answers clients: the runs of their environment."""

from kongflow.runs.v1 import runs_service_pb2 as pb
from kongflow_common.auth.principals import current_environment
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_runs.application.cancel_run import CancelRun
from kongflow_runs.application.queries import RUN_FILTER_FIELDS, GetRun, ListRuns
from kongflow_runs.rpc import mapping


class RunsServicer:
    """kongflow.runs.v1.RunsService."""

    def __init__(self, get_run: GetRun, list_runs: ListRuns, cancel_run: CancelRun) -> None:
        self._get_run = get_run
        self._list_runs = list_runs
        self._cancel_run = cancel_run

    async def GetRun(self, request: pb.GetRunRequest, _context: object) -> pb.GetRunResponse:
        """Gets a run."""
        environment_id = current_environment().environment_id
        found = await self._get_run(environment_id, required_id(request.id, "id"))
        return pb.GetRunResponse(run=mapping.run(found))

    async def ListRuns(self, request: pb.ListRunsRequest, _context: object) -> pb.ListRunsResponse:
        """Lists runs."""
        environment_id = current_environment().environment_id
        page = page_request(
            method="ListRuns",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        found = await self._list_runs(
            environment_id,
            parse_filter(request.filter, RUN_FILTER_FIELDS),
            (page.after.time, page.after.id) if page.after else None,
            page.size + 1,
        )
        shown = found[: page.size]
        token = ""
        if len(found) > page.size:
            token = page.next_page_token(PageCursor(shown[-1].created_at, shown[-1].id))
        return pb.ListRunsResponse(runs=map(mapping.run, shown), next_page_token=token)

    async def CancelRun(
        self, request: pb.CancelRunRequest, _context: object
    ) -> pb.CancelRunResponse:
        """Cancels a run."""
        environment_id = current_environment().environment_id
        run = await self._cancel_run(environment_id, required_id(request.id, "id"))
        return pb.CancelRunResponse(run=mapping.run(run))
