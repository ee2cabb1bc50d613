"""Queued jobs from program to wire."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import orjson
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc import status_pb2

from kongflow.workerqueue.v1 import job_options_pb2
from kongflow.workerqueue.v1 import queued_job_pb2 as pb
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_workerqueue.application.ports import AttemptError, QueuedJob
from kongflow_workerqueue.domain.outcome import CallStatus
from kongflow_workerqueue.domain.states import JobState, Priority

_M = TypeVar("_M", bound=Message)

_STATES: Mapping[JobState, pb.QueuedJob.State.ValueType] = {
    JobState.AVAILABLE: pb.QueuedJob.STATE_AVAILABLE,
    JobState.SCHEDULED: pb.QueuedJob.STATE_SCHEDULED,
    JobState.RUNNING: pb.QueuedJob.STATE_RUNNING,
    JobState.RETRYABLE: pb.QueuedJob.STATE_RETRYABLE,
    JobState.COMPLETED: pb.QueuedJob.STATE_COMPLETED,
    JobState.CANCELLED: pb.QueuedJob.STATE_CANCELLED,
    JobState.DISCARDED: pb.QueuedJob.STATE_DISCARDED,
}
_PRIORITIES: Mapping[Priority, job_options_pb2.Priority.ValueType] = {
    Priority.HIGH: job_options_pb2.PRIORITY_HIGH,
    Priority.NORMAL: job_options_pb2.PRIORITY_NORMAL,
    Priority.LOW: job_options_pb2.PRIORITY_LOW,
    Priority.VERY_LOW: job_options_pb2.PRIORITY_VERY_LOW,
}


def to_proto(job: QueuedJob) -> pb.QueuedJob:
    """Write a queued job."""
    return pb.QueuedJob(
        id=str(job.id),
        kind=job.kind,
        queue=job.queue,
        priority=_PRIORITIES[job.priority],
        state=_STATES[job.state],
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        turn=job.turn,
        run_time=to_timestamp(job.run_at),
        create_time=to_timestamp(job.created_at),
        attempt_time=to_timestamp(job.attempted_at) if job.attempted_at else None,
        end_time=to_timestamp(job.finalized_at) if job.finalized_at else None,
        environment_id=str(job.environment_id) if job.environment_id else "",
        job_key=job.job_key or "",
        tags=job.tags,
        metadata=to_struct(job.metadata),
        args=to_struct(job.args),
        errors=[_to_error(error) for error in job.errors],
        traceparent=job.traceparent or "",
        waiting_for=job.waiting_for or "",
        serial_key=job.serial_key or "",
        concurrency_key=job.concurrency_key or "",
        rate_key=job.rate_key or "",
    )


def in_portions(messages: Sequence[_M], max_bytes: int) -> Iterator[list[_M]]:
    """Divide messages so that each portion has room in an answer; at least one, if an empty one."""
    portion: list[_M] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if size > max_bytes and portion:
            yield portion
            portion, size = [], message.ByteSize()
        portion.append(message)
    yield portion


def to_struct(document: bytes | None) -> Struct | None:
    """Write a UTF-8 JSON object."""
    if document is None:
        return None
    struct = Struct()
    struct.update(orjson.loads(document))
    return struct


def _to_error(error: AttemptError) -> pb.AttemptError:
    return pb.AttemptError(
        attempt=error.attempt, time=to_timestamp(error.at), status=_to_status(error.status)
    )


def _to_status(status: CallStatus) -> status_pb2.Status:
    if status.details:
        return status_pb2.Status.FromString(status.details)
    return status_pb2.Status(code=int(status.code), message=status.message)
