"""A service whose methods let in every mixture of callers, made without a .proto file.

It is what the server itself is tested and measured with.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.wrappers_pb2 import StringValue

from kongflow.common.v1 import access_pb2
from kongflow_common.auth.principals import current_environment_or_none, current_principal
from kongflow_common.rpc.server import GrpcService

__all__ = ["EchoServicer", "EchoStreamServicer", "call_echo", "echo_service", "watch_echoes"]

_PACKAGE = "kongflow.echo.v1"
_FILE = "kongflow/echo/v1/echo_service.proto"
_TEXT = ".google.protobuf.StringValue"

_SECRET = access_pb2.CALLER_SECRET_KEY
_PUBLIC = access_pb2.CALLER_PUBLIC_KEY
_OPERATOR = access_pb2.CALLER_OPERATOR
_SERVICE = access_pb2.CALLER_SERVICE

_SERVICES: Mapping[str, Mapping[str, access_pb2.Access | None]] = {
    "EchoService": {
        "Send": access_pb2.Access(
            callers=[_SECRET, _OPERATOR, _SERVICE], operator_scope="echo:write", environment=True
        ),
        "GetEcho": access_pb2.Access(
            callers=[_SECRET, _PUBLIC, _OPERATOR, _SERVICE],
            operator_scope="echo:read",
            environment=True,
        ),
        "ListEchoes": access_pb2.Access(callers=[_OPERATOR, _SERVICE], operator_scope="echo:read"),
    },
    "EchoStreamService": {
        "WatchEchoes": access_pb2.Access(callers=[_OPERATOR], operator_scope="echo:read")
    },
    "EchoTasksService": {"Run": access_pb2.Access(callers=[_SERVICE])},
    # Services that no server may start with.
    "SilentService": {"Send": None},
    "CallerlessService": {"Send": access_pb2.Access(environment=True)},
    "ScopelessService": {"Send": access_pb2.Access(callers=[_OPERATOR])},
}

EchoContext = grpc.aio.ServicerContext[StringValue, StringValue]
Act = Callable[[str, EchoContext], Awaitable[str]]


def echo_service(servicer: object, name: str = "EchoService") -> GrpcService:
    """One of the services above, answered by `servicer`."""
    return GrpcService(_file().services_by_name[name], servicer)


async def say_who(text: str, _context: EchoContext) -> str:
    """Answer with the text, who called, and the environment's id or `nowhere`."""
    principal = current_principal()
    environment = current_environment_or_none()
    place = str(environment.environment_id) if environment is not None else "nowhere"
    return f"{text} {principal.kind.value} {principal.name} {place}"


class EchoServicer:
    """Does what stands in `act`: at first, say who called."""

    def __init__(self) -> None:
        self.act: Act = say_who
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def Send(self, request: StringValue, context: EchoContext) -> StringValue:  # noqa: N802
        return StringValue(value=await self.act(request.value, context))

    GetEcho = ListEchoes = Run = Send

    async def hold(self, text: str, _context: EchoContext) -> str:
        """An `act` that stays until `release` is set, and tells when the call is taken away."""
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return text


class EchoStreamServicer:
    """Answers with numbered echoes; each of its streams says when it has ended."""

    def __init__(self) -> None:
        self.echoes = 0
        self.ended = asyncio.Event()

    async def WatchEchoes(  # noqa: N802
        self, request: StringValue, _context: EchoContext
    ) -> AsyncIterator[StringValue]:
        """Answer without end to `endless`, for ever not at all to `silent`, else twice."""
        try:
            if request.value == "silent":
                await asyncio.Event().wait()
            if request.value == "broken":
                raise ValueError("postgresql://user:secret@host")
            while self.echoes < 2 or request.value == "endless":
                self.echoes += 1
                yield StringValue(value=f"{self.echoes} {current_principal().name}" + "." * 1_000)
        finally:
            self.ended.set()


def watch_echoes(
    channel: grpc.aio.Channel,
    metadata: tuple[tuple[str, str], ...] = (),
    *,
    text: str = "hello",
    timeout: float | None = 10.0,
) -> Any:
    """Call the method that answers with a stream. Any: see call_echo."""
    invoke: Any = channel.unary_stream(f"/{_PACKAGE}.EchoStreamService/WatchEchoes")
    request = StringValue(value=text).SerializeToString()
    return invoke(request, metadata=metadata, timeout=timeout)


async def call_echo(
    channel: grpc.aio.Channel,
    method: str,
    metadata: tuple[tuple[str, str], ...] = (),
    *,
    text: str = "hello",
    raw: bytes | None = None,
    timeout: float | None = 5.0,
) -> str:
    """Call a method; `raw` replaces the request's bytes. Raises grpc.aio.AioRpcError."""
    service = "EchoTasksService" if method == "Run" else "EchoService"
    # Any: without serializers a call takes and gives bytes, which the types do not say.
    invoke: Any = channel.unary_unary(f"/{_PACKAGE}.{service}/{method}")
    request = StringValue(value=text).SerializeToString() if raw is None else raw
    answer: bytes = await invoke(request, metadata=metadata, timeout=timeout)
    return StringValue.FromString(answer).value


def _file() -> FileDescriptor:
    pool = descriptor_pool.Default()
    try:
        return pool.FindFileByName(_FILE)
    except KeyError:
        pool.AddSerializedFile(_file_proto().SerializeToString())
        return pool.FindFileByName(_FILE)


def _file_proto() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name=_FILE,
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto", "kongflow/common/v1/access.proto"],
    )
    for service_name, methods in _SERVICES.items():
        service = file.service.add(name=service_name)
        for name, access in methods.items():
            method = service.method.add(
                name=name,
                input_type=_TEXT,
                output_type=_TEXT,
                server_streaming=name.startswith("Watch"),
            )
            if access is not None:
                method.options.Extensions[access_pb2.access].CopyFrom(access)
    return file
