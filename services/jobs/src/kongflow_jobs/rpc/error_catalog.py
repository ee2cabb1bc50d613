"""What the errors of jobs mean on the wire."""

from grpc import StatusCode

from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_jobs.domain import errors

CATALOG = ErrorCatalog(
    "jobs.kongflow",
    {
        errors.JobNotFound: ErrorSpec(StatusCode.NOT_FOUND, "JOB_NOT_FOUND"),
        errors.JobVersionNotFound: ErrorSpec(StatusCode.NOT_FOUND, "JOB_VERSION_NOT_FOUND"),
        errors.JobNotDisabled: ErrorSpec(StatusCode.FAILED_PRECONDITION, "JOB_NOT_DISABLED"),
    },
)
