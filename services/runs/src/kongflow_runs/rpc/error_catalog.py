"""What the errors of runs mean on the wire."""

from grpc import StatusCode

from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_runs.domain import errors

CATALOG = ErrorCatalog(
    "runs.kongflow",
    {
        errors.RunNotFound: ErrorSpec(StatusCode.NOT_FOUND, "RUN_NOT_FOUND"),
        errors.RunPlaceTaken: ErrorSpec(StatusCode.FAILED_PRECONDITION, "RUN_PLACE_TAKEN"),
        errors.OutdatedTurn: ErrorSpec(StatusCode.ABORTED, "OUTDATED_TURN", retry_after=0.1),
    },
)
