"""Redrives from program to wire."""

from collections.abc import Mapping

import orjson

from kongflow.workerqueue.v1 import redrive_pb2 as pb
from kongflow.workerqueue.v1.workerqueue_service_pb2 import (
    RedriveQueuedJobsResponse,
    RefusedEdit,
)
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_workerqueue.application.edit_dead_letters import ArgsChange
from kongflow_workerqueue.application.redrive_queued_jobs import DryRun, Redrive, RedriveState
from kongflow_workerqueue.rpc.queued_job_mapping import in_portions, to_proto

_STATES: Mapping[RedriveState, pb.Redrive.State.ValueType] = {
    RedriveState.RUNNING: pb.Redrive.STATE_RUNNING,
    RedriveState.SUCCEEDED: pb.Redrive.STATE_SUCCEEDED,
    RedriveState.CANCELLED: pb.Redrive.STATE_CANCELLED,
}


def redrive_to_proto(redrive: Redrive, *, with_args: bool) -> pb.Redrive:
    """Write a redrive, what it edits only `with_args`."""
    message = pb.Redrive(
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
        refused_count=redrive.refused,
    )
    if redrive.change is not None and with_args:
        set_change(message, redrive.change)
    return message


def set_change(message: pb.Redrive, change: ArgsChange) -> None:
    """Write what a redrive edits."""
    (message.args_patch if change.is_patch else message.args).update(orjson.loads(change.text))


def dry_run_to_proto(
    told: pb.Redrive, dry_run: DryRun, max_bytes: int
) -> RedriveQueuedJobsResponse:
    """Write what a redrive would take, of the sample as much as fits into an answer."""
    sample = next(in_portions([to_proto(job) for job in dry_run.sample], max_bytes))
    return RedriveQueuedJobsResponse(
        redrive=told,
        sample=sample,
        refused=[
            RefusedEdit(queued_job_id=str(id_), description=description)
            for id_, description in dry_run.refused.items()
        ],
    )
