"""What each error means on the wire: one total table per context."""

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from uuid import uuid4

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from kongflow_common import errors
from kongflow_common.auth import errors as auth_errors
from kongflow_common.errors import (
    InvalidFields,
    KongflowError,
    PreconditionFailed,
    ResourceExhausted,
)

__all__ = [
    "AnswerTooLarge",
    "DeadlineExceeded",
    "ErrorCatalog",
    "ErrorSpec",
    "RequestNotDecodable",
    "ServerDraining",
    "TooManyCalls",
    "assert_total",
    "code_of",
]

_logger = logging.getLogger(__name__)

_REASON = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_DOMAIN = re.compile(r"[a-z]+\.kongflow")
# Together the details and the message must fit into 8 KiB of trailing metadata, written as
# base64 and with percent signs: peers refuse more, and the caller would learn nothing.
_MAX_MESSAGE_BYTES = 400
_MAX_VALUE_BYTES = 120
_MAX_FIELD_BYTES = 100
_MAX_DESCRIPTION_BYTES = 240
_MAX_VIOLATIONS = 6
_MAX_METADATA = 8

_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class RequestNotDecodable(KongflowError):
    """The request is not a message of the type that the method takes."""


class AnswerTooLarge(KongflowError):
    """The answer is larger than a message may be; ask for less."""


class DeadlineExceeded(KongflowError):
    """The call took longer than it may."""


class TooManyCalls(ResourceExhausted):
    """Too many calls with this credential are under way."""


class ServerDraining(KongflowError):
    """The server is shutting down; another one, or this one again, answers soon."""


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """What an error is on the wire: its status code and the reason of its ErrorInfo.

    `retry_after` is for errors that do not carry one of their own: after how many seconds
    the same request may succeed.
    """

    code: grpc.StatusCode
    reason: str
    retry_after: float | None = None


_GENERIC: Mapping[type[KongflowError], ErrorSpec] = {
    errors.InvalidFields: ErrorSpec(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
    errors.Unauthenticated: ErrorSpec(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    errors.PermissionDenied: ErrorSpec(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    errors.NotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    errors.AlreadyExists: ErrorSpec(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"),
    errors.PreconditionFailed: ErrorSpec(
        grpc.StatusCode.FAILED_PRECONDITION, "PRECONDITION_FAILED"
    ),
    errors.DependencyUnavailable: ErrorSpec(
        grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE", retry_after=1.0
    ),
    errors.Contended: ErrorSpec(grpc.StatusCode.ABORTED, "CONTENDED", retry_after=0.1),
    errors.ResourceExhausted: ErrorSpec(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", retry_after=1.0
    ),
    auth_errors.CredentialMissing: ErrorSpec(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
    auth_errors.CredentialInvalid: ErrorSpec(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"),
    auth_errors.ServiceTokenInvalid: ErrorSpec(
        grpc.StatusCode.UNAUTHENTICATED, "SERVICE_TOKEN_INVALID"
    ),
    auth_errors.CallerNotAllowed: ErrorSpec(
        grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED"
    ),
    auth_errors.OperatorScopeMissing: ErrorSpec(
        grpc.StatusCode.PERMISSION_DENIED, "OPERATOR_SCOPE_MISSING"
    ),
    auth_errors.EnvironmentNotAllowed: ErrorSpec(
        grpc.StatusCode.INVALID_ARGUMENT, "ENVIRONMENT_NOT_ALLOWED"
    ),
    auth_errors.EnvironmentRequired: ErrorSpec(
        grpc.StatusCode.INVALID_ARGUMENT, "ENVIRONMENT_REQUIRED"
    ),
    auth_errors.EnvironmentNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "ENVIRONMENT_NOT_FOUND"),
    RequestNotDecodable: ErrorSpec(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_NOT_DECODABLE"),
    AnswerTooLarge: ErrorSpec(grpc.StatusCode.OUT_OF_RANGE, "ANSWER_TOO_LARGE"),
    DeadlineExceeded: ErrorSpec(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    TooManyCalls: ErrorSpec(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", retry_after=1.0),
    ServerDraining: ErrorSpec(grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING", retry_after=0.5),
}


class ErrorCatalog:
    """Turns errors of one context into google.rpc.Status.

    `domain` is `<context>.kongflow`. The errors of kongflow_common are known without being
    listed; a context may list one of them to say it differently. Raises ValueError when a
    reason or the domain is not in its form.
    """

    def __init__(self, domain: str, specs: Mapping[type[KongflowError], ErrorSpec]) -> None:
        if _DOMAIN.fullmatch(domain) is None:
            raise ValueError(f"{domain!r} is not of the form <context>.kongflow")
        for error, spec in specs.items():
            if _REASON.fullmatch(spec.reason) is None:
                raise ValueError(f"the reason of {error.__name__} is not UPPER_SNAKE_CASE")
            if spec.code is grpc.StatusCode.OK:
                raise ValueError(f"{error.__name__} cannot be OK")
        self.domain = domain
        self._own = dict(specs)
        self._specs = {**_GENERIC, **specs}

    def covers(self, error: type[KongflowError]) -> bool:
        """Whether the catalogue says what `error` itself means, not only what its bases do."""
        return error in self._specs

    def spec_of(self, error: Exception) -> ErrorSpec | None:
        """What the error means; None when it is nothing that callers may be told about."""
        for ancestor in type(error).__mro__:
            spec = self._specs.get(ancestor)
            if spec is not None:
                return spec
        return None

    def status_of(self, error: Exception) -> status_pb2.Status:
        """The status that callers are told.

        An error that the catalogue does not know becomes a bland INTERNAL with an id; the
        error itself is logged under that id and reaches nobody.
        """
        error = _only_error(error)
        spec = self.spec_of(error)
        if spec is None or not isinstance(error, KongflowError):
            return self._internal(error)
        info = error_details_pb2.ErrorInfo(
            reason=spec.reason, domain=self.domain, metadata=_clip_metadata(error.metadata)
        )
        details: list[Message] = [info]
        if isinstance(error, InvalidFields):
            details.append(_bad_request(error))
        if spec.code is grpc.StatusCode.FAILED_PRECONDITION:
            details.append(_precondition_failure(error, spec))
        retry_after = _retry_after(error, spec)
        if retry_after is not None:
            details.append(error_details_pb2.RetryInfo(retry_delay=_duration(retry_after)))
        return _status(spec.code, error.message, details)

    def _internal(self, error: Exception) -> status_pb2.Status:
        error_id = uuid4().hex
        _logger.error(
            "unexpected error",
            exc_info=error,
            extra={"fields": {"error_id": error_id, "error_type": type(error).__name__}},
        )
        info = error_details_pb2.ErrorInfo(
            reason="INTERNAL", domain=self.domain, metadata={"error_id": error_id}
        )
        message = f"An internal error occurred; the server's log has it under {error_id}"
        return _status(grpc.StatusCode.INTERNAL, message, [info])


def code_of(status: status_pb2.Status) -> grpc.StatusCode:
    """The status code, as grpc names it; UNKNOWN for a number that is none."""
    return _CODES.get(status.code, grpc.StatusCode.UNKNOWN)


def assert_total(catalog: ErrorCatalog, *modules: ModuleType) -> None:
    """Raise AssertionError naming the errors of `modules` that the catalogue does not list.

    A package stands for all modules inside it. Names that begin with an underscore are
    taken for bases of others.
    """
    missing = [
        f"{error.__module__}.{error.__qualname__}"
        for module in modules
        for error in _errors_of(module)
        if not catalog.covers(error)
    ]
    if missing:
        raise AssertionError(f"{catalog.domain} does not say what these mean: {sorted(missing)}")


def _errors_of(module: ModuleType) -> Iterator[type[KongflowError]]:
    for _, member in inspect.getmembers(module, inspect.isclass):
        if (
            issubclass(member, KongflowError)
            and member.__module__ == module.__name__
            and not member.__name__.startswith("_")
        ):
            yield member
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _errors_of(importlib.import_module(f"{module.__name__}.{inner.name}"))


def _only_error(error: Exception) -> Exception:
    """What a task group wraps when one thing failed is that one thing."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _retry_after(error: KongflowError, spec: ErrorSpec) -> float | None:
    own: object = getattr(error, "retry_after", None)
    return float(own) if isinstance(own, int | float) else spec.retry_after


def _bad_request(error: InvalidFields) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=_clip(each.field, _MAX_FIELD_BYTES),
                description=_clip(each.description, _MAX_DESCRIPTION_BYTES),
            )
            for each in error.violations[:_MAX_VIOLATIONS]
        ]
    )


def _precondition_failure(
    error: KongflowError, spec: ErrorSpec
) -> error_details_pb2.PreconditionFailure:
    subject = error.subject if isinstance(error, PreconditionFailed) else ""
    return error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(
                type=spec.reason,
                subject=_clip(subject, _MAX_FIELD_BYTES),
                description=_clip(error.message, _MAX_DESCRIPTION_BYTES),
            )
        ]
    )


def _duration(seconds: float) -> Duration:
    nanoseconds = round(max(seconds, 0.0) * 1_000_000_000)
    return Duration(seconds=nanoseconds // 1_000_000_000, nanos=nanoseconds % 1_000_000_000)


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    packed = []
    for each in details:
        wrapped = AnyMessage()
        wrapped.Pack(each)
        packed.append(wrapped)
    return status_pb2.Status(
        code=code.value[0], message=_clip(message, _MAX_MESSAGE_BYTES), details=packed
    )


def _clip(text: str, most_bytes: int) -> str:
    """Shorten to so many bytes of UTF-8; what no message can hold (lone surrogates) goes."""
    raw = text.encode(errors="replace")
    if len(raw) <= most_bytes:
        return raw.decode()
    return raw[: most_bytes - 3].decode(errors="ignore") + "..."


def _clip_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    kept = list(metadata.items())[:_MAX_METADATA]
    return {key: _clip(value, _MAX_VALUE_BYTES) for key, value in kept}
