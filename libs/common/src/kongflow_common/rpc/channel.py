"""Calls to the other services: a channel that reconnects fast, and an identity on each call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast
from uuid import UUID

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from kongflow_common.auth.authenticator import ENVIRONMENT_METADATA
from kongflow_common.auth.service_tokens import ServiceTokenSigner
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.tls import channel_credentials
from kongflow_common.settings import ServiceSettings
from kongflow_common.tracing import current_traceparent

__all__ = [
    "FOREIGN_SERVERS",
    "OWN_SERVERS",
    "Keepalive",
    "RemoteError",
    "ServiceCaller",
    "error_info",
    "foreign_channel",
    "open_channel",
    "service_channel",
]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_METADATA_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Keepalive:
    """How a channel finds out that its connection is dead.

    What the other side's machine does not acknowledge for `timeout_ms` ends the connection, pings
    and everything else that is written (TCP_USER_TIMEOUT); pings go out every `ping_ms`.
    """

    ping_ms: int
    timeout_ms: int
    without_calls: bool


OWN_SERVERS = Keepalive(ping_ms=20_000, timeout_ms=5_000, without_calls=True)
"""Our listeners permit pings every five seconds."""

# gRPC's own servers end a connection after a few pings that come more often than every five
# minutes, and all calls that it carries ("Too many pings"). And a program that is busy in its only
# thread answers no ping, though nothing is wrong with it.
FOREIGN_SERVERS = Keepalive(ping_ms=24 * 3_600_000, timeout_ms=10_000, without_calls=False)
"""Whoever calls servers that others wrote writes something else from time to time."""

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)

# CANCELLED by the other side is how grpc ends what a stopping server had not taken yet.
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)


class RemoteError(Exception):
    """Another service refused a call.

    `reason`, `domain` and `metadata` are those of its ErrorInfo, empty when it sent none.
    Adapters turn what they expect into errors of their own context; what is left over is
    this context's mistake and reaches callers as INTERNAL.
    """

    def __init__(self, code: grpc.StatusCode, message: str, info: error_details_pb2.ErrorInfo):
        super().__init__(f"{code.name} {info.reason}: {message}".replace(" :", ":"))
        self.code = code
        self.message = message
        self.reason = info.reason
        self.domain = info.domain
        self.metadata = dict(info.metadata)

    @staticmethod
    def of(error: grpc.aio.AioRpcError) -> "RemoteError":
        """Read the details of a failed call."""
        return RemoteError(error.code(), error.details() or "", error_info(_status(error)))


class ServiceCaller:
    """Calls one other service in the name of this one.

    `name` is the service that is called: the audience of the token, and what
    DependencyUnavailable names.
    """

    def __init__(self, channel: grpc.aio.Channel, name: str, signer: ServiceTokenSigner) -> None:
        self.channel = channel
        self.name = name
        self._signer = signer

    async def call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        *,
        timeout: float,
        environment_id: UUID | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> _Response:
        """Call a method of a stub on `channel`, waiting at most `timeout` seconds.

        Raises DependencyUnavailable when there is no answer (UNAVAILABLE, DEADLINE_EXCEEDED,
        CANCELLED by the other side), RemoteError for every other refusal. Nothing is tried
        again here.
        """
        try:
            return await method(
                request, timeout=timeout, metadata=self._metadata(environment_id, metadata)
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in _AWAY:
                raise DependencyUnavailable(self.name) from error
            raise RemoteError.of(error) from error

    def _metadata(
        self, environment_id: UUID | None, more: Sequence[tuple[str, str]]
    ) -> tuple[tuple[str, str], ...]:
        metadata = [("authorization", f"Bearer {self._signer.token(self.name)}"), *more]
        if environment_id is not None:
            metadata.append((ENVIRONMENT_METADATA, str(environment_id)))
        traceparent = current_traceparent()
        if traceparent:
            metadata.append(("traceparent", traceparent))
        return tuple(metadata)


def service_channel(target: str, settings: ServiceSettings) -> grpc.aio.Channel:
    """A channel to another service's tasks and internal listener; the caller closes it."""
    return open_channel(target, channel_credentials(settings))


def foreign_channel(target: str, settings: ServiceSettings) -> grpc.aio.Channel:
    """A channel to a server that may be anybody's, with its own defaults; the caller closes it."""
    return open_channel(target, channel_credentials(settings), keepalive=FOREIGN_SERVERS)


def open_channel(
    target: str,
    credentials: grpc.ChannelCredentials | None = None,
    *,
    keepalive: Keepalive = OWN_SERVERS,
) -> grpc.aio.Channel:
    """A channel that reconnects within a second of its server being back."""
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.keepalive_time_ms", keepalive.ping_ms),
        ("grpc.keepalive_timeout_ms", keepalive.timeout_ms),
        ("grpc.keepalive_permit_without_calls", int(keepalive.without_calls)),
        ("grpc.http2.max_pings_without_data", 0),
        # Only the queued job tries again.
        ("grpc.enable_retries", 0),
        # Services call each other directly, whatever proxy the environment names.
        ("grpc.enable_http_proxy", 0),
    ]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    try:
        # Typed for the synchronous API; it reads what both kinds of error have.
        status: status_pb2.Status | None = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:
        # The details contradict the code: they are not to be believed.
        return None
    return status


def error_info(status: status_pb2.Status | None) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo among a status's details; an empty one when there is none."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            break
    return info
