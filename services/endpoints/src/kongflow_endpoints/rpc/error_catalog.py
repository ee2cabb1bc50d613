"""What the errors of endpoints mean on the wire."""

from grpc import StatusCode

from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_endpoints.domain import errors

CATALOG = ErrorCatalog(
    "endpoints.kongflow",
    {
        errors.EndpointNotFound: ErrorSpec(StatusCode.NOT_FOUND, "ENDPOINT_NOT_FOUND"),
        errors.EndpointIndexNotFound: ErrorSpec(StatusCode.NOT_FOUND, "ENDPOINT_INDEX_NOT_FOUND"),
        errors.EndpointPingFailed: ErrorSpec(
            StatusCode.FAILED_PRECONDITION, "ENDPOINT_PING_FAILED"
        ),
        errors.EndpointHasNoUrl: ErrorSpec(StatusCode.FAILED_PRECONDITION, "ENDPOINT_HAS_NO_URL"),
    },
)
