"""Hands outbox messages to the worker queue over gRPC."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import grpc
from google.protobuf.struct_pb2 import Struct

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import id_text
from kongflow_common.outbox.enqueuer import EnqueueOutcome, Refusal
from kongflow_common.outbox.limits import JobLimits, LimitKey
from kongflow_common.outbox.message import JobKeyMode, Operation, OutboxMessage, Uniqueness
from kongflow_common.rpc.channel import RemoteError, ServiceCaller, error_info
from kongflow_common.rpc.error_catalog import code_of
from kongflow_common.rpc.timestamps import to_timestamp

__all__ = ["GrpcEnqueuer"]

_logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 8.0

_OPERATIONS: Mapping[Operation, pb.EnqueueCommand.Operation.ValueType] = {
    Operation.ENQUEUE: pb.EnqueueCommand.OPERATION_ENQUEUE,
    Operation.REMOVE: pb.EnqueueCommand.OPERATION_REMOVE,
}
_JOB_KEY_MODES: Mapping[JobKeyMode, pb.EnqueueCommand.JobKeyMode.ValueType] = {
    JobKeyMode.REPLACE: pb.EnqueueCommand.JOB_KEY_MODE_REPLACE,
    JobKeyMode.PRESERVE_RUN_TIME: pb.EnqueueCommand.JOB_KEY_MODE_PRESERVE_RUN_TIME,
    JobKeyMode.KEEP_FIRST: pb.EnqueueCommand.JOB_KEY_MODE_KEEP_FIRST,
}

# These say nothing about the messages: the worker queue is starting, stopping, or does not
# know this service yet.
_NOT_ASKED = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.ABORTED,
    }
)


class GrpcEnqueuer:
    """An Enqueuer over kongflow.workerqueue.internal.v1.EnqueueService."""

    def __init__(self, worker_queue: ServiceCaller) -> None:
        self._worker_queue = worker_queue
        self._stub = EnqueueServiceStub(worker_queue.channel)

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> list[EnqueueOutcome]:
        """Hand messages over: one outcome each, in their order, within 8 seconds.

        Raises DependencyUnavailable when the worker queue could not be asked, RemoteError when
        it refused the call as a whole because of what was sent.
        """
        if not messages:
            return []
        request = pb.EnqueueJobsRequest(commands=[_command(message) for message in messages])
        try:
            response = await self._worker_queue.call(
                self._stub.EnqueueJobs, request, timeout=_TIMEOUT_SECONDS
            )
        except RemoteError as error:
            if error.code not in _NOT_ASKED:
                raise
            _logger.warning(
                "the worker queue does not listen to this service",
                extra={"fields": {"error": str(error)}},
            )
            raise DependencyUnavailable(self._worker_queue.name) from error
        if len(response.results) != len(messages):
            _logger.error(
                "the worker queue answered with another number of results",
                extra={"fields": {"sent": len(messages), "results": len(response.results)}},
            )
            raise DependencyUnavailable(self._worker_queue.name)
        return [_outcome(result) for result in response.results]


def _command(message: OutboxMessage) -> pb.EnqueueCommand:
    command = pb.EnqueueCommand(
        outbox_id=id_text(message.id),
        operation=_OPERATIONS[message.operation],
        kind=message.kind,
        args=message.args,
        queue=message.queue,
        job_key=message.job_key,
        job_key_mode=_JOB_KEY_MODES[message.job_key_mode],
        generation=message.generation,
        priority=job_options_pb2.Priority.ValueType(message.priority),
        max_attempts=message.max_attempts,
        tags=message.tags,
        environment_id=id_text(message.environment_id) if message.environment_id else "",
        traceparent=message.traceparent,
    )
    # Fields that are seldom set cost more as arguments than as assignments.
    if message.run_at is not None:
        command.run_time.CopyFrom(to_timestamp(message.run_at))
    if message.metadata:
        command.metadata.CopyFrom(_struct(message.metadata))
    if message.unique is not None:
        command.unique.CopyFrom(_uniqueness(message.unique))
    if message.limits is not None:
        _set_limits(command, message.limits)
    if message.delay is not None:
        command.delay.FromTimedelta(message.delay)
    if message.longest_wait is not None:
        command.longest_wait.FromTimedelta(message.longest_wait)
    return command


def _set_limits(command: pb.EnqueueCommand, limits: JobLimits) -> None:
    if limits.serial is not None:
        command.serial.CopyFrom(_limit_key(limits.serial))
    if limits.concurrency is not None:
        command.concurrency.max_running = limits.concurrency.max_running
        command.concurrency.key.CopyFrom(_limit_key(limits.concurrency.key))
    if limits.rate is not None:
        command.rate.key.CopyFrom(_limit_key(limits.rate.key))
        command.rate.count = limits.rate.count
        command.rate.period.FromTimedelta(limits.rate.period)
        command.rate.burst = limits.rate.burst


def _limit_key(key: LimitKey) -> job_options_pb2.LimitKey:
    return job_options_pb2.LimitKey(key=key.key, args=key.args)


def _struct(metadata: Mapping[str, object]) -> Struct:
    struct = Struct()
    # Any: what stands in a JSON object; Struct refuses the rest with ValueError.
    struct.update(cast("dict[str, Any]", dict(metadata)))
    return struct


def _uniqueness(unique: Uniqueness) -> job_options_pb2.Uniqueness:
    message = job_options_pb2.Uniqueness(
        by_args=unique.by_args,
        args=unique.args,
        by_queue=unique.by_queue,
        by_kind=unique.by_kind,
        states=[
            job_options_pb2.Uniqueness.State.Value(f"STATE_{state.upper()}")
            for state in unique.states
        ],
    )
    if unique.window is not None:
        message.window.FromTimedelta(unique.window)
    return message


def _outcome(result: pb.EnqueueResult) -> EnqueueOutcome:
    status = result.status
    if code_of(status) is grpc.StatusCode.OK:
        return EnqueueOutcome(
            queued_job_id=result.queued_job_id,
            unique_skipped_as_duplicate=result.unique_skipped_as_duplicate,
        )
    info = error_info(status)
    return EnqueueOutcome(
        refusal=Refusal(
            code=code_of(status).name,
            reason=info.reason,
            message=status.message,
            metadata=dict(info.metadata),
        )
    )
