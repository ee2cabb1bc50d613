"""Reading why a call was refused.

with refusal() as refused:
    await stub.SendEvent(request, metadata=bearer(key), timeout=5)
assert refused.reason == "FIELD_INVALID"
assert refused.fields == {"event.name": "is required"}
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

__all__ = ["Refusal", "refusal"]

_Detail = TypeVar("_Detail", bound=Message)


class Refusal:
    """What a call was answered that failed; to be read after the block."""

    def __init__(self) -> None:
        self._error: grpc.aio.AioRpcError | None = None

    def set(self, error: grpc.aio.AioRpcError) -> None:
        """Remember the error of the call."""
        self._error = error

    @property
    def error(self) -> grpc.aio.AioRpcError:
        """The error as grpc raised it."""
        if self._error is None:
            raise AssertionError("the call has not been refused yet")
        return self._error

    @property
    def code(self) -> grpc.StatusCode:
        return self.error.code()

    @property
    def message(self) -> str:
        return self.error.details() or ""

    @property
    def status(self) -> status_pb2.Status:
        """The google.rpc.Status; an empty one when the answer held none."""
        status: status_pb2.Status | None = rpc_status.from_call(cast("grpc.Call", self.error))
        return status or status_pb2.Status()

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        return self._detail(error_details_pb2.ErrorInfo()) or error_details_pb2.ErrorInfo()

    @property
    def reason(self) -> str:
        """The reason of the ErrorInfo; empty when there is none."""
        return self.info.reason

    @property
    def retry_seconds(self) -> float | None:
        """When to try again; None when the answer does not say."""
        retry = self._detail(error_details_pb2.RetryInfo())
        return None if retry is None else retry.retry_delay.ToTimedelta().total_seconds()

    @property
    def fields(self) -> dict[str, str]:
        """The refused fields with what is wrong with each."""
        bad = self._detail(error_details_pb2.BadRequest())
        violations = bad.field_violations if bad is not None else ()
        return {each.field: each.description for each in violations}

    @property
    def preconditions(self) -> list[tuple[str, str]]:
        """Type and subject of each precondition that does not hold."""
        failure = self._detail(error_details_pb2.PreconditionFailure())
        violations = failure.violations if failure is not None else ()
        return [(each.type, each.subject) for each in violations]

    def _detail(self, detail: _Detail) -> _Detail | None:
        for each in self.status.details:
            if each.Unpack(detail):
                return detail
        return None


@contextmanager
def refusal(code: grpc.StatusCode | None = None) -> Iterator[Refusal]:
    """Expect that the call inside the block fails, with `code` if one is given.

    Raises AssertionError when it does not.
    """
    refused = Refusal()
    try:
        yield refused
    except grpc.aio.AioRpcError as error:
        if code is not None and error.code() is not code:
            raise AssertionError(
                f"refused with {error.code().name} ({error.details()}), expected {code.name}"
            ) from error
        refused.set(error)
    else:
        raise AssertionError("the call was not refused")
