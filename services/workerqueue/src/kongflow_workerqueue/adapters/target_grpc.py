"""Calls the task methods of one target, generically: methods and messages come from descriptors."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from kongflow_common.ids import id_text
from kongflow_common.rpc.envelope import Envelope
from kongflow_common.rpc.task_results import parse_snooze
from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.application.targets import CallResult, WholeCallFailed, WorkKind
from kongflow_workerqueue.catalogue.kind import CallShape, Kind
from kongflow_workerqueue.catalogue.request_parser import UnreadableArguments
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode

__all__ = ["GrpcTarget"]

_STATUS_METADATA = "grpc-status-details-bin"
_READY_SECONDS = 1.0
_PULSE_SECONDS = 15.0
_PULSE_ANSWER_SECONDS = 5.0
_LONGEST_MESSAGE = 2_000
_LARGEST_DETAILS = 16 * 1024

_GOODBYE = "GOAWAY"
_LOST = ("Socket closed", "Connection reset", "Broken pipe", "End of TCP stream")

_DISCONNECT_STEPS = 20
_DISCONNECT_STEP_SECONDS = 0.005

_UNREADABLE_SNOOZE = timedelta(seconds=1)
_OK = CallResult(CallStatus(StatusCode.OK))

Method = Any
"""A grpc.aio multi-callable of message classes that are known at run time only."""


@dataclass(frozen=True, slots=True)
class _Methods:
    kind: Kind
    unary: Method
    batch: Method | None


class GrpcTarget:
    """One target: a channel, and the methods of the kinds that it declares.

    `token` gives the service token for the target's audience.
    """

    def __init__(
        self, channel: grpc.aio.Channel, kinds: Iterable[Kind], token: Callable[[], str]
    ) -> None:
        self._channel = channel
        self._calls = 0
        self._token = token
        self._methods = {
            kind.kind: _Methods(
                kind,
                _method(channel, kind.unary),
                _method(channel, kind.batch) if kind.batch is not None else None,
            )
            for kind in kinds
        }
        self._check_health: Method = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    async def call(
        self, kind: WorkKind, jobs: Sequence[ClaimedJob], *, deadline: datetime
    ) -> list[CallResult]:
        """Makes one call for jobs of one kind and one environment; answers in their order.

        Jobs whose arguments are no request of the kind are answered INVALID_ARGUMENT without
        being sent. Raises WholeCallFailed.
        """
        methods = self._methods[kind.kind]
        results: list[CallResult | None] = [None] * len(jobs)
        sent: list[int] = []
        requests: list[Message] = []
        for index, job in enumerate(jobs):
            try:
                requests.append(methods.kind.parser.parse(job.args))
                sent.append(index)
            except UnreadableArguments as error:
                results[index] = _refused(str(error))
        self._calls += 1
        try:
            answers = await self._answers(methods, [jobs[i] for i in sent], requests, deadline)
        finally:
            self._calls -= 1
        for index, answer in zip(sent, answers, strict=True):
            results[index] = answer
        return [result for result in results if result is not None]

    async def is_ready(self) -> bool:
        """Asks whether the target would take calls; takes a second at most.

        A target without the health service is ready when it answers at all.
        """
        try:
            answer = await self._check_health(
                health_pb2.HealthCheckRequest(), timeout=_READY_SECONDS, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            return error.code() not in {
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            }
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the target at this moment."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def keep_in_touch(self, every: float = _PULSE_SECONDS) -> None:
        """Writes something to the target while it has calls, until cancelled.

        A connection that is dead is found out by what is written to it; in place of HTTP/2's
        pings, of which servers endure only a few, it is a call, whatever the answer.
        """
        while True:
            await asyncio.sleep(every)
            if self._calls:
                with suppress(grpc.aio.AioRpcError):
                    await self._check_health(
                        health_pb2.HealthCheckRequest(), timeout=_PULSE_ANSWER_SECONDS
                    )

    async def _answers(
        self,
        methods: _Methods,
        jobs: Sequence[ClaimedJob],
        requests: Sequence[Message],
        deadline: datetime,
    ) -> list[CallResult]:
        if len(requests) == 1 or methods.batch is None:
            return [
                await self._call_one(methods, job, request, deadline)
                for job, request in zip(jobs, requests, strict=True)
            ]
        return await self._call_batch(methods, jobs, requests, deadline) if requests else []

    async def _call_one(
        self, methods: _Methods, job: ClaimedJob, request: Message, deadline: datetime
    ) -> CallResult:
        envelope = Envelope(
            queued_job_id=job.id,
            attempt=job.attempt + 1,
            fencing_token=job.turn,
            environment_id=job.environment_id,
            idempotency_key=id_text(job.id),
            deadline=deadline,
            traceparent=job.traceparent or "",
        )
        call = methods.unary(
            request,
            timeout=_seconds_until(deadline),
            metadata=(self._authorization(), *envelope.to_metadata()),
        )
        try:
            await call
        except grpc.aio.AioRpcError as error:
            raise await self._failure(error) from error
        try:
            snooze = parse_snooze(await call.trailing_metadata())
        except ValueError:
            # Not done, and no word about when.
            return CallResult(_OK.status, snooze=_UNREADABLE_SNOOZE)
        return _OK if snooze is None else CallResult(_OK.status, snooze=snooze.delay)

    async def _call_batch(
        self,
        methods: _Methods,
        jobs: Sequence[ClaimedJob],
        requests: Sequence[Message],
        deadline: datetime,
    ) -> list[CallResult]:
        if methods.kind.batch is None or methods.batch is None:
            raise TypeError(f"kind {methods.kind.kind} has no batch method")
        message: Any = methods.kind.batch.request_class()
        message.requests.extend(requests)
        deadline_time = _timestamp_fields(deadline)
        environment_id = str(jobs[0].environment_id) if jobs[0].environment_id else ""
        add_envelope = message.envelopes.add
        for job in jobs:
            job_id = id_text(job.id)
            add_envelope(
                queued_job_id=job_id,
                attempt=job.attempt + 1,
                fencing_token=job.turn,
                environment_id=environment_id,
                idempotency_key=job_id,
                deadline_time=deadline_time,
                traceparent=job.traceparent or "",
            )
        try:
            answer: Any = await methods.batch(
                message,
                timeout=_seconds_until(deadline),
                metadata=self._batch_metadata(jobs, environment_id),
            )
        except grpc.aio.AioRpcError as error:
            raise await self._failure(error) from error
        if len(answer.results) != len(jobs):
            text = f"The batch of {len(jobs)} was answered with {len(answer.results)} results."
            raise WholeCallFailed(CallResult(CallStatus(StatusCode.INTERNAL, text)), connected=True)
        return [_read_result(result) for result in answer.results]

    def _authorization(self) -> tuple[str, str]:
        return ("authorization", f"Bearer {self._token()}")

    def _batch_metadata(
        self, jobs: Sequence[ClaimedJob], environment_id: str
    ) -> tuple[tuple[str, str], ...]:
        metadata = [self._authorization()]
        if environment_id:
            metadata.append(("kongflow-environment", environment_id))
        first = jobs[0].traceparent
        # A call speaks for one trace only if all that it carries belong to it.
        if first and all(job.traceparent == first for job in jobs):
            metadata.append(("traceparent", first))
        return tuple(metadata)

    async def _failure(self, error: grpc.aio.AioRpcError) -> WholeCallFailed:
        code = StatusCode.read(error.code().value[0])
        raw = _status_details(error)
        result = CallResult(
            CallStatus(code, _shortened(error.details() or ""), raw), retry_after=_retry_after(raw)
        )
        lost = _says_lost(result.status) and await self._has_disconnected()
        return WholeCallFailed(result, connected=self.is_connected and not lost, lost=lost)

    async def _has_disconnected(self) -> bool:
        """Whether the connection is gone: calls hear of it a little before the channel does.

        A server that passes on what it was told of a lost connection of its own keeps this one.
        """
        for _ in range(_DISCONNECT_STEPS):
            if not self.is_connected:
                return True
            await asyncio.sleep(_DISCONNECT_STEP_SECONDS)
        return False


def _says_lost(status: CallStatus) -> bool:
    """Whether a connection broke off under a call: only its text tells that from one never made.

    A server that is told to end says goodbye first, and what it drops then is nobody's fault.
    """
    if status.code is not StatusCode.UNAVAILABLE or _GOODBYE in status.message:
        return False
    return any(text in status.message for text in _LOST)


def _method(channel: grpc.aio.Channel, shape: CallShape) -> Method:
    return channel.unary_unary(
        shape.path,
        request_serializer=shape.request_class.SerializeToString,
        response_deserializer=shape.response_class.FromString,
    )


def _timestamp_fields(moment: datetime) -> dict[str, int]:
    """A google.protobuf.Timestamp of whatever descriptor pool: a foreign target has its own."""
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return {"seconds": timestamp.seconds, "nanos": timestamp.nanos}


def _seconds_until(deadline: datetime) -> float:
    return max((deadline - datetime.now(UTC)).total_seconds(), 0.001)


def _refused(text: str) -> CallResult:
    return CallResult(CallStatus(StatusCode.INVALID_ARGUMENT, _shortened(text)))


def _shortened(text: str) -> str:
    # PostgreSQL stores no NUL, and a message is for people.
    return text.replace("\0", "\ufffd")[:_LONGEST_MESSAGE]


def _read_result(result: Any) -> CallResult:
    """Reads a kongflow.workerqueue.v1.JobResult of whatever descriptor pool."""
    status = result.status
    if status.code == StatusCode.OK:
        if not result.HasField("snooze"):
            return _OK
        return CallResult(CallStatus(StatusCode.OK), snooze=_snooze(result.snooze))
    raw = status.SerializeToString() if status.details else b""
    details = raw if len(raw) <= _LARGEST_DETAILS else b""
    return CallResult(
        CallStatus(StatusCode.read(status.code), _shortened(status.message), details),
        retry_after=_retry_after(raw),
    )


def _snooze(duration: Any) -> timedelta:
    try:
        snooze: timedelta = duration.ToTimedelta()
    except (OverflowError, ValueError):
        # Not done, and no word about when.
        return _UNREADABLE_SNOOZE
    return snooze


def _status_details(error: grpc.aio.AioRpcError) -> bytes:
    for name, value in error.trailing_metadata():
        if name == _STATUS_METADATA and isinstance(value, bytes):
            return value if len(value) <= _LARGEST_DETAILS else b""
    return b""


def _retry_after(raw_status: bytes) -> timedelta | None:
    if not raw_status:
        return None
    try:
        for detail in status_pb2.Status.FromString(raw_status).details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                return info.retry_delay.ToTimedelta()
    except (DecodeError, OverflowError, ValueError):
        # What cannot be read wishes for nothing.
        return None
    return None
