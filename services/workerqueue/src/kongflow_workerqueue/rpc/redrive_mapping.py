"""Redrives from program to wire."""

from collections.abc import Mapping

from kongflow.workerqueue.v1 import redrive_pb2 as pb
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_workerqueue.application.redrive_queued_jobs import Redrive, RedriveState

_STATES: Mapping[RedriveState, pb.Redrive.State.ValueType] = {
    RedriveState.RUNNING: pb.Redrive.STATE_RUNNING,
    RedriveState.SUCCEEDED: pb.Redrive.STATE_SUCCEEDED,
    RedriveState.CANCELLED: pb.Redrive.STATE_CANCELLED,
}


def redrive_to_proto(redrive: Redrive) -> pb.Redrive:
    """Write a redrive."""
    return pb.Redrive(
        id=str(redrive.id),
        state=_STATES[redrive.state],
        filter=redrive.filter,
        environment_id=str(redrive.environment_id or ""),
        jobs_per_second=redrive.jobs_per_second,
        total_count=redrive.total,
        redriven_count=redrive.redriven,
        skipped_count=redrive.skipped,
        create_time=to_timestamp(redrive.created_at),
        end_time=to_timestamp(redrive.ended_at) if redrive.ended_at else None,
        caller_name=redrive.caller_name,
        reason=redrive.reason or "",
    )
