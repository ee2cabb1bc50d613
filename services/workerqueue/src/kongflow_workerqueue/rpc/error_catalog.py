"""What the errors of the worker queue mean on the wire."""

from grpc import StatusCode

from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_workerqueue.domain import errors

CATALOG = ErrorCatalog(
    "workerqueue.kongflow",
    {
        errors.QueuedJobNotFound: ErrorSpec(StatusCode.NOT_FOUND, "QUEUED_JOB_NOT_FOUND"),
        errors.QueuedJobRunning: ErrorSpec(StatusCode.FAILED_PRECONDITION, "QUEUED_JOB_RUNNING"),
        errors.QueuedJobNotDiscarded: ErrorSpec(
            StatusCode.FAILED_PRECONDITION, "QUEUED_JOB_NOT_DISCARDED"
        ),
        errors.ArgumentsHidden: ErrorSpec(StatusCode.PERMISSION_DENIED, "ARGUMENTS_HIDDEN"),
        errors.QueuedJobEnded: ErrorSpec(StatusCode.FAILED_PRECONDITION, "QUEUED_JOB_ENDED"),
        errors.QueuedJobNotEnded: ErrorSpec(StatusCode.FAILED_PRECONDITION, "QUEUED_JOB_NOT_ENDED"),
        errors.QueueNotFound: ErrorSpec(StatusCode.NOT_FOUND, "QUEUE_NOT_FOUND"),
        errors.PeriodicJobNotFound: ErrorSpec(StatusCode.NOT_FOUND, "PERIODIC_JOB_NOT_FOUND"),
        errors.RedriveNotFound: ErrorSpec(StatusCode.NOT_FOUND, "REDRIVE_NOT_FOUND"),
        errors.QueuedJobReplaced: ErrorSpec(StatusCode.ALREADY_EXISTS, "QUEUED_JOB_REPLACED"),
        errors.TooManyWatches: ErrorSpec(
            StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", retry_after=10.0
        ),
        errors.KindNotOwned: ErrorSpec(StatusCode.PERMISSION_DENIED, "KIND_NOT_OWNED"),
    },
)
