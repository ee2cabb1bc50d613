"""What every call passes through on its way to a servicer and back.

Each method is wrapped once, when the server is built; a generic interceptor of grpc would look it
up and build a chain anew for every call. Requests come as bytes, so that authentication is before
decoding, and what cannot be decoded is the caller's mistake.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn, Protocol, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_status import rpc_status

from kongflow_common.auth.access import AccessRule, access_rule
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.principals import CallerKind, Principal, bind_principal
from kongflow_common.rpc.answer_stream import next_unless
from kongflow_common.rpc.arrived_call import ArrivedCall
from kongflow_common.rpc.call_metrics import CallMetrics
from kongflow_common.rpc.deadline import bind_deadline
from kongflow_common.rpc.error_catalog import (
    AnswerTooLarge,
    DeadlineExceeded,
    ErrorCatalog,
    RequestNotDecodable,
    ServerDraining,
    TooManyCalls,
    code_of,
)
from kongflow_common.rpc.request_size import bind_request_size
from kongflow_common.rpc.request_stream import decoded_requests
from kongflow_common.tracing import bind_trace

__all__ = ["CallLimits", "CallPipeline", "MethodNotImplemented"]

_logger = logging.getLogger("kongflow.rpc")

# Any: grpc hands requests and answers over as whatever the serializers make of them.
_Context = grpc.aio.ServicerContext[Any, Any]
_Behaviour = Callable[[Message, _Context], Awaitable[Message]]
# Any: a request, or those of a stream one by one.
_StreamBehaviour = Callable[[Any, _Context], AsyncGenerator[Message, None]]
_Raw = bytes | AsyncIterator[bytes]

# The property `name` of an enum's member costs more than a look-up.
_CODE_NAMES = {code: code.name for code in grpc.StatusCode}


class MethodNotImplemented(TypeError):
    """A servicer lacks a method of its service, or the method is not `async def`.

    One that answers with a stream is an asynchronous generator; only such a one takes a stream.
    """


class _Decoder(Protocol):
    def FromString(self, raw: bytes, /) -> Message: ...


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How much callers may ask for; sizes in bytes, times in seconds.

    `default_timeout` is for calls without a deadline, `max_timeout` caps every deadline, and
    `max_stream_time` does both for streams. Every answer of a stream has `max_answer_bytes`, and
    whether its caller is still let in is asked each `stream_recheck_time`.
    """

    max_answer_bytes: int
    default_timeout: float = 30.0
    max_timeout: float = 300.0
    max_stream_time: float = 3_600.0
    stream_recheck_time: float = 2.0
    max_in_flight_per_key: int = 1_000


class CallPipeline:
    """Trace, authentication, limits, decoding, errors, log and metrics of one listener."""

    def __init__(
        self,
        authenticator: Authenticator,
        catalog: ErrorCatalog,
        metrics: CallMetrics,
        limits: CallLimits,
        *,
        listener: str,
    ) -> None:
        self.authenticator = authenticator
        self.catalog = catalog
        self.metrics = metrics
        self.limits = limits
        self.in_flight = metrics.count_in_flight(listener)
        self._drained = asyncio.Event()
        self.arrivals = 0
        self._by_key: dict[str, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def handler(
        self, method: MethodDescriptor, servicer: object
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Wrap a method of a servicer.

        Raises AccessNotDeclared when the method does not say who may call it, and
        MethodNotImplemented when the servicer has none, or one of another kind.
        """
        if method.client_streaming and not method.server_streaming:
            raise MethodNotImplemented(f"{method.full_name} takes a stream and answers once")
        behaviour = getattr(servicer, method.name, None)
        if method.server_streaming:
            if not inspect.isasyncgenfunction(behaviour):
                raise MethodNotImplemented(
                    f"{type(servicer).__name__}.{method.name} is no asynchronous generator"
                )
            kind = _WrappedExchange if method.client_streaming else _WrappedStream
            stream = kind(self, method, access_rule(method), cast("_StreamBehaviour", behaviour))
            if method.client_streaming:
                return grpc.stream_stream_rpc_method_handler(stream.answer_all)
            return grpc.unary_stream_rpc_method_handler(stream.answer_all)
        if not inspect.iscoroutinefunction(behaviour):
            raise MethodNotImplemented(
                f"{type(servicer).__name__} has no `async def {method.name}`"
            )
        wrapped = _WrappedUnary(self, method, access_rule(method), cast("_Behaviour", behaviour))
        # Without (de)serializers grpc hands the bytes over as they are.
        return grpc.unary_unary_rpc_method_handler(wrapped.answer)

    @property
    def draining(self) -> bool:
        """Whether new calls are refused; streams have ended then."""
        return self._drained.is_set()

    def drain(self) -> None:
        """Refuse new calls and end streams; the other calls go on."""
        self._drained.set()

    async def wait_draining(self) -> None:
        """Wait until new calls are refused."""
        await self._drained.wait()

    def enter(self, principal: Principal) -> None:
        """Count a call of this caller. Raises TooManyCalls."""
        if principal.kind is CallerKind.SERVICE:
            return
        key = principal.key_id
        count = self._by_key.get(key, 0)
        if count >= self.limits.max_in_flight_per_key:
            raise TooManyCalls(limit=self.limits.max_in_flight_per_key)
        self._by_key[key] = count + 1

    def leave(self, principal: Principal) -> None:
        """Give back what `enter` took."""
        if principal.kind is CallerKind.SERVICE:
            return
        key = principal.key_id
        count = self._by_key[key] - 1
        if count:
            self._by_key[key] = count
        else:
            del self._by_key[key]

    def begin(self) -> None:
        """Count a call that arrived."""
        self.arrivals += 1
        self.in_flight.now += 1
        self._idle.clear()

    def end(self) -> None:
        """Count a call that has been answered."""
        self.in_flight.now -= 1
        if not self.in_flight.now:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no call is under way."""
        await self._idle.wait()


class _WrappedMethod:
    """One method with everything that does not change from call to call."""

    def __init__(self, pipeline: CallPipeline, method: MethodDescriptor, rule: AccessRule) -> None:
        service = method.containing_service
        self._pipeline = pipeline
        self._name = f"{service.full_name}/{method.name}"
        self._rule = rule
        self._decode = cast("_Decoder", GetMessageClass(method.input_type)).FromString
        self._record_metrics = pipeline.metrics.method(self._name).record

    async def answer(self, raw: _Raw, context: _Context) -> bytes:
        """Answer one call, in the task that grpc made for it alone."""
        call = ArrivedCall(context)
        bind_trace(call.trace)
        self._pipeline.begin()
        try:
            try:
                answer = await self._timed(raw, context, call)
            except asyncio.CancelledError as error:
                if _cancelled_from_outside():
                    self._record(call, grpc.StatusCode.CANCELLED)
                    raise
                # Something inside was cancelled: the caller still waits for an answer.
                status = self._pipeline.catalog.status_of(
                    RuntimeError(f"cancelled from inside: {error!r}")
                )
            except Exception as error:
                if context.done():
                    # The servicer has ended the call by itself; grpc expects its error back.
                    self._record(call, _code(context, grpc.StatusCode.UNKNOWN))
                    raise
                status = self._pipeline.catalog.status_of(error)
            else:
                self._record(call, _code(context, grpc.StatusCode.OK))
                return answer
            self._record(call, code_of(status), status)
            await context.abort_with_status(rpc_status.to_status(status))
            raise AssertionError("abort always raises")
        finally:
            self._pipeline.end()

    async def _timed(self, raw: _Raw, context: _Context, call: ArrivedCall) -> bytes:
        limits = self._pipeline.limits
        # None when the caller set no deadline, whatever the types of grpc say.
        seconds = cast("float | None", context.time_remaining())
        if seconds is not None and seconds <= limits.max_timeout:
            # grpc itself ends the call when the caller's own deadline passes.
            bind_deadline(seconds)
            return await self._admitted(raw, context, call)
        seconds = limits.default_timeout if seconds is None else limits.max_timeout
        bind_deadline(seconds)
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                return await self._admitted(raw, context, call)
        except TimeoutError as error:
            if timer.expired():
                raise DeadlineExceeded(seconds=seconds) from error
            raise

    async def _admitted(self, raw: _Raw, context: _Context, call: ArrivedCall) -> bytes:
        pipeline = self._pipeline
        if pipeline.draining:
            raise ServerDraining
        principal = await pipeline.authenticator.admit(
            self._rule, call.authorization, call.environment_id
        )
        call.principal = principal
        bind_principal(principal)
        pipeline.enter(principal)
        try:
            return await self._behave(raw, context, call)
        finally:
            pipeline.leave(principal)

    async def _behave(self, raw: _Raw, context: _Context, call: ArrivedCall) -> bytes:
        """Have the servicer answer."""
        raise NotImplementedError

    def _decoded(self, raw: _Raw) -> Message:
        try:
            return self._decode(cast("bytes", raw))
        except DecodeError as error:
            raise RequestNotDecodable from error

    def _serialized(self, message: Message) -> bytes:
        answer = message.SerializeToString()
        limit = self._pipeline.limits.max_answer_bytes
        if len(answer) > limit:
            raise AnswerTooLarge(bytes=len(answer), limit=limit)
        return answer

    def _record(
        self,
        call: ArrivedCall,
        code: grpc.StatusCode,
        status: status_pb2.Status | None = None,
    ) -> None:
        seconds = perf_counter() - call.began
        self._record_metrics(code, seconds)
        # What a call did is said by its use case, in a line of its own.
        level = logging.DEBUG if code is grpc.StatusCode.OK else logging.INFO
        if not _logger.isEnabledFor(level):
            return
        fields: dict[str, object] = {
            "method": self._name,
            "code": _CODE_NAMES[code],
            "ms": int(seconds * 100_000) / 100,
        }
        if call.principal is not None:
            fields.update(call.principal.log_fields)
        if status is not None:
            fields["error"] = status.message
        _logger.log(level, "call", extra={"fields": fields})


class _WrappedUnary(_WrappedMethod):
    """A method that answers once."""

    def __init__(
        self,
        pipeline: CallPipeline,
        method: MethodDescriptor,
        rule: AccessRule,
        behaviour: _Behaviour,
    ) -> None:
        super().__init__(pipeline, method, rule)
        self._behaviour = behaviour

    async def _behave(self, raw: _Raw, context: _Context, call: ArrivedCall) -> bytes:
        bind_request_size(len(cast("bytes", raw)))
        return self._serialized(await self._behaviour(self._decoded(raw), context))


class _WrappedStream(_WrappedMethod):
    """A method that answers until it ends, its time is over, or the server drains."""

    def __init__(
        self,
        pipeline: CallPipeline,
        method: MethodDescriptor,
        rule: AccessRule,
        behaviour: _StreamBehaviour,
    ) -> None:
        super().__init__(pipeline, method, rule)
        self._behaviour = behaviour

    async def answer_all(self, raw: _Raw, context: _Context) -> None:
        """Answer one call; the answers are written as they come."""
        await self.answer(raw, context)

    async def _timed(self, raw: _Raw, context: _Context, call: ArrivedCall) -> bytes:
        # grpc itself ends the call when the caller's own deadline passes.
        return await self._admitted(raw, context, call)

    async def _behave(self, raw: _Raw, context: _Context, call: ArrivedCall) -> bytes:
        limit = self._pipeline.limits.max_stream_time
        timer = asyncio.timeout(limit)
        ending = asyncio.ensure_future(self._until_it_must_end(call))
        try:
            async with timer, aclosing(self._answers(raw, context, ending)) as answers:
                async for message in answers:
                    # Returns when there is room for more: whoever reads slowly is asked to.
                    await context.write(self._serialized(message))
        except TimeoutError as error:
            if timer.expired():
                raise DeadlineExceeded(seconds=limit) from error
            raise
        finally:
            ending.cancel()
        return b""

    async def _answers(
        self, raw: _Raw, context: _Context, ending: "asyncio.Future[NoReturn]"
    ) -> AsyncGenerator[Message, None]:
        async with aclosing(self._behaviour(self._decoded(raw), context)) as answers:
            while (message := await next_unless(ending, answers)) is not None:
                yield message

    async def _until_it_must_end(self, call: ArrivedCall) -> NoReturn:
        """Raise ServerDraining in time, or why the caller is not let in any more."""
        while True:
            try:
                async with asyncio.timeout(self._pipeline.limits.stream_recheck_time):
                    await self._pipeline.wait_draining()
            except TimeoutError:
                await self._pipeline.authenticator.admit(
                    self._rule, call.authorization, call.environment_id
                )
            else:
                raise ServerDraining


class _WrappedExchange(_WrappedStream):
    """A method that takes a stream; when it must end it answers what it has read before."""

    def _answers(
        self, raw: _Raw, context: _Context, ending: "asyncio.Future[NoReturn]"
    ) -> AsyncGenerator[Message, None]:
        requests = decoded_requests(cast("AsyncIterator[bytes]", raw), self._decoded, ending)
        return self._behaviour(requests, context)


def _cancelled_from_outside() -> bool:
    return (task := asyncio.current_task()) is not None and task.cancelling() > 0


def _code(context: _Context, unset: grpc.StatusCode) -> grpc.StatusCode:
    """The code that the servicer set by itself, if it did."""
    return cast("grpc.StatusCode | None", context.code()) or unset
