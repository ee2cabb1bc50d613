"""Entries of the audit trail from program to wire."""

from collections.abc import Mapping

from kongflow.workerqueue.v1 import audit_entry_pb2 as pb
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_workerqueue.application.audit_queries import AuditAction, AuditEntry
from kongflow_workerqueue.rpc.queued_job_mapping import to_struct

_ACTIONS: Mapping[AuditAction, pb.AuditEntry.Action.ValueType] = {
    AuditAction.RETRY: pb.AuditEntry.ACTION_RETRY,
    AuditAction.EDIT: pb.AuditEntry.ACTION_EDIT,
    AuditAction.CANCEL: pb.AuditEntry.ACTION_CANCEL,
    AuditAction.DELETE: pb.AuditEntry.ACTION_DELETE,
    AuditAction.PAUSE: pb.AuditEntry.ACTION_PAUSE,
    AuditAction.RESUME: pb.AuditEntry.ACTION_RESUME,
    AuditAction.REDRIVE: pb.AuditEntry.ACTION_REDRIVE,
    AuditAction.CANCEL_REDRIVE: pb.AuditEntry.ACTION_CANCEL_REDRIVE,
    AuditAction.LIMIT: pb.AuditEntry.ACTION_LIMIT,
    AuditAction.RUN: pb.AuditEntry.ACTION_RUN,
}


def entry_to_proto(entry: AuditEntry, *, with_args: bool) -> pb.AuditEntry:
    """Write an entry, with the arguments that were replaced if the caller may see them."""
    return pb.AuditEntry(
        id=str(entry.id),
        create_time=to_timestamp(entry.created_at),
        action=_ACTIONS[entry.action],
        caller=entry.caller,
        caller_name=entry.caller_name,
        caller_key_id=entry.caller_key_id,
        reason=entry.reason or "",
        queue=entry.queue or "",
        queued_job_id=str(entry.queued_job_id or ""),
        kind=entry.kind or "",
        environment_id=str(entry.environment_id or ""),
        redrive_id=str(entry.redrive_id or ""),
        periodic_job=entry.periodic_job or "",
        max_running=entry.max_running or 0,
        former_args=to_struct(entry.former_args) if with_args else None,
    )
