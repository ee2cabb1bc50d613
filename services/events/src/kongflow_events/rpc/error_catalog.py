"""What each error of this context is on the wire."""

from typing import Final

import grpc

from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_events.application.ports import SchemasChanged
from kongflow_events.domain import errors
from kongflow_events.domain.event_schema import SchemaRefused

__all__ = ["CATALOG"]

CATALOG: Final = ErrorCatalog(
    "events.kongflow",
    {
        errors.AccountNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND"),
        errors.EventNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "EVENT_NOT_FOUND"),
        errors.DispatcherNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "DISPATCHER_NOT_FOUND"),
        errors.EventSchemaNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "EVENT_SCHEMA_NOT_FOUND"),
        errors.EventReplayNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "EVENT_REPLAY_NOT_FOUND"),
        errors.EventNotReplayable: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "EVENT_NOT_REPLAYABLE"
        ),
        errors.EventNotTaken: ErrorSpec(grpc.StatusCode.FAILED_PRECONDITION, "EVENT_NOT_TAKEN"),
        errors.DispatcherTakesNothing: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "DISPATCHER_TAKES_NOTHING"
        ),
        errors.EventIdTaken: ErrorSpec(grpc.StatusCode.ALREADY_EXISTS, "EVENT_ID_TAKEN"),
        errors.ResourceEventNotFound: ErrorSpec(
            grpc.StatusCode.NOT_FOUND, "RESOURCE_EVENT_NOT_FOUND"
        ),
        errors.ResourceEventNotReplayable: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "RESOURCE_EVENT_NOT_REPLAYABLE"
        ),
        errors.RequestIdReused: ErrorSpec(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
        errors.TooManyEventReplays: ErrorSpec(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_EVENT_REPLAYS"
        ),
        errors.EventSchemaIncompatible: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "EVENT_SCHEMA_INCOMPATIBLE"
        ),
        SchemaRefused: ErrorSpec(grpc.StatusCode.INVALID_ARGUMENT, "PAYLOAD_REFUSED_BY_SCHEMA"),
        SchemasChanged: ErrorSpec(grpc.StatusCode.ABORTED, "SCHEMAS_CHANGED"),
        errors.DispatcherKept: ErrorSpec(grpc.StatusCode.FAILED_PRECONDITION, "DISPATCHER_KEPT"),
        errors.EventDeliveryBegun: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "EVENT_DELIVERY_BEGUN"
        ),
        errors.EphemeralUrlRefused: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "EPHEMERAL_URL_REFUSED"
        ),
        # As below.
        errors.EphemeralCallFailed: ErrorSpec(grpc.StatusCode.UNKNOWN, "EPHEMERAL_CALL_FAILED"),
        errors.ResumeTokenExpired: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "RESUME_TOKEN_EXPIRED"
        ),
        errors.ResumeTokenForeign: ErrorSpec(
            grpc.StatusCode.FAILED_PRECONDITION, "RESUME_TOKEN_FOREIGN"
        ),
        errors.TooManyWatches: ErrorSpec(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES"),
        errors.RunRefused: ErrorSpec(grpc.StatusCode.FAILED_PRECONDITION, "RUN_REFUSED"),
        # Not the worker queue's fault and not for ever: it costs an attempt.
        errors.RunNotCreated: ErrorSpec(grpc.StatusCode.UNKNOWN, "RUN_NOT_CREATED"),
    },
)
