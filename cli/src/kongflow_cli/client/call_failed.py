"""A refused call as one sentence, with the reason and the fields that were wrong."""

from collections.abc import Iterator
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from kongflow_cli.client.connection import Connection
from kongflow_cli.client.exit_codes import exit_code_of
from kongflow_cli.errors import CliError
from kongflow_cli.output.printable import printable

_Detail = TypeVar("_Detail", bound=Message)

_MAYBE_DONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class CallFailed(CliError):
    """A service refused a call or did not answer."""

    def __init__(
        self, error: grpc.RpcError, connection: Connection, timeout: float, repeat: str
    ) -> None:
        call = cast("grpc.Call", error)
        self.status = call.code()
        details = _details(call)
        info = next(_unpacked(details, error_details_pb2.ErrorInfo), None)
        self.reason = info.reason if info is not None else ""
        sentence = _sentence(call, self.status, connection, timeout, self.reason)
        parts = [sentence, *_violations(details, sentence)]
        if retry := next(_unpacked(details, error_details_pb2.RetryInfo), None):
            seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            parts.append(f"Try again in {seconds:g} s.")
        if repeat and self.status in _MAYBE_DONE:
            parts.append(repeat)
        super().__init__(" ".join(parts), exit_code_of(self.status))


def _sentence(
    call: "grpc.Call",
    status: grpc.StatusCode,
    connection: Connection,
    timeout: float,
    reason: str,
) -> str:
    where = f"{connection.context} at {connection.address}"
    message = printable(call.details() or "").strip().rstrip(".")
    if not reason:
        # Said by gRPC on this side, or by something that is not one of the servers.
        match status:
            case grpc.StatusCode.UNAVAILABLE:
                return f"{where} does not answer. {_how_to_start(connection, message)}"
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"{where} did not answer within {timeout:g} s; --timeout allows more."
            case grpc.StatusCode.UNIMPLEMENTED:
                return (
                    f"{where} does not know this call; is it the address of {connection.context}?"
                )
            case _:
                return f"{message or 'The call failed'} ({status.name})."
    if status is grpc.StatusCode.UNAUTHENTICATED:
        source = connection.credential_source
        return f"{message} ({reason}). The key came from {source}."
    return f"{message or status.name} ({reason})."


def _how_to_start(connection: Connection, message: str) -> str:
    if connection.is_local:
        return "`kongflow up` starts the system."
    if connection.tls and message:
        return f"Is the address right, and does it speak TLS? gRPC says: {message}."
    return "Is the address right? `kongflow up` starts a system on this machine."


def _violations(details: status_pb2.Status | None, sentence: str) -> Iterator[str]:
    for request in _unpacked(details, error_details_pb2.BadRequest):
        for each in request.field_violations:
            text = printable(f"{each.field}: {each.description}").rstrip(".")
            if text not in sentence:
                yield f"{text}."
    for failure in _unpacked(details, error_details_pb2.PreconditionFailure):
        for violation in failure.violations:
            description = printable(violation.description).strip().rstrip(".")
            if description and description not in sentence:
                yield f"{description}."


def _details(call: "grpc.Call") -> status_pb2.Status | None:
    try:
        status: status_pb2.Status | None = rpc_status.from_call(call)
    except (ValueError, DecodeError):
        # They contradict the code or cannot be read: they are not to be believed.
        return None
    return status


def _unpacked(details: status_pb2.Status | None, kind: type[_Detail]) -> Iterator[_Detail]:
    for detail in details.details if details is not None else ():
        message = kind()
        try:
            is_of_kind = detail.Unpack(message)
        except DecodeError:
            continue
        if is_of_kind:
            yield message
