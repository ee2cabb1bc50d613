"""One address of a server, with the services that answer there."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from kongflow_common.rpc.interceptor import CallPipeline
from kongflow_common.rpc.quiet_moment import QuietMoment

__all__ = ["GrpcService", "Listener", "ListenerNotBound"]

_logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 16 * 1024 * 1024
MAX_METADATA_BYTES = 16 * 1024
MAX_CONCURRENT_CALLS = 10_000

_STREAMS_GRACE_SECONDS = 0.5
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ListenerNotBound(OSError):
    """The address is taken, or is none of this machine's."""


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A service and the servicer that answers for it: every method as `async def`."""

    descriptor: ServiceDescriptor
    servicer: object


class Listener:
    """A grpc.aio server with the pipeline's methods, health, and reflection if wanted.

    `address` is `host:port`; port 0 takes a free one, which `address` then names.
    """

    def __init__(
        self,
        address: str,
        services: Sequence[GrpcService],
        pipeline: CallPipeline,
        *,
        credentials: grpc.ServerCredentials | None,
        reflect: bool,
    ) -> None:
        self._pipeline = pipeline
        self._names = [service.descriptor.full_name for service in services]
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=_options(pipeline.limits.max_answer_bytes),
            maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
        )
        self._server.add_generic_rpc_handlers((_MethodTable(pipeline, services),))
        generic_only = cast("grpc.aio.Server", _GenericOnly(self._server))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, generic_only)
        if reflect:
            listed = [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME]
            add_reflection = cast(
                "Callable[[object, object], None]",
                reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
            )
            add_reflection(reflection.aio.ReflectionServicer(listed), generic_only)
        self.address = _bind(self._server, address, credentials)
        self._quiet_moment: QuietMoment | None = None
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept calls; health says NOT_SERVING until it is told otherwise."""
        await self.set_serving(False)
        self._quiet_moment = QuietMoment(self._server)
        await self._server.start()
        await self._quiet_moment.connect()

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks, for the server as a whole and for each service."""
        status = _SERVING if serving else _NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def drain(self, seconds: float) -> None:
        """Refuse what is new, let what runs finish for at most `seconds`, then close.

        Open streams do not hold the end up: ours end when what is new is refused. Whoever asks
        again waits for the same end.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(seconds))
        await asyncio.shield(self._closing)

    async def _close(self, seconds: float) -> None:
        await self._health.enter_graceful_shutdown()
        self._pipeline.drain()
        if self._quiet_moment is not None:
            await self._quiet_moment.wait(lambda: self._pipeline.arrivals, seconds)
            self._quiet_moment = None
        stopping = asyncio.create_task(self._server.stop(seconds))
        idle = asyncio.create_task(self._pipeline.wait_idle())
        try:
            await asyncio.wait((stopping, idle), return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await self._server.stop(_STREAMS_GRACE_SECONDS)
            await stopping
        finally:
            idle.cancel()


class _MethodTable(grpc.GenericRpcHandler):
    """The methods of a listener by their path."""

    def __init__(self, pipeline: CallPipeline, services: Sequence[GrpcService]) -> None:
        self._handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]] = {
            f"/{service.descriptor.full_name}/{method.name}": pipeline.handler(
                method, service.servicer
            )
            for service in services
            for method in service.descriptor.methods
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handlers.get(handler_call_details.method)


class _GenericOnly:
    """Takes generic handlers only.

    For each method that is registered by name grpc.aio waits for one more future with every
    call that arrives, which costs more than the look-up that it saves.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]
    ) -> None:
        self._server.add_generic_rpc_handlers(tuple(generic_rpc_handlers))

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, object]
    ) -> None:
        _logger.debug("%s: %d methods stay generic", service_name, len(method_handlers))


def _options(max_answer_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.max_send_message_length", max_answer_bytes),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        # Two servers on one port would each get some of the calls, and nobody would notice.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    host, separator, _ = address.rpartition(":")
    if not separator or not host:
        raise ListenerNotBound(f"{address!r} is not of the form host:port")
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ListenerNotBound(f"cannot listen on {address}: {error}") from error
    return f"{host}:{port}"
