"""Notes who stepped in, in the transaction that does what was asked."""

from typing import Any
from uuid import UUID

import psycopg

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.intervention import Intervention

_NOTE = """
INSERT INTO workerqueue.audit_entries (
    id, action, caller, caller_name, caller_key_id, reason, queue, queued_job_id, environment_id,
    kind, redrive_id, former_args, periodic_job)
VALUES (%(entry)b::uuid, %(action)b::text, %(caller)b::text, %(caller_name)b::text,
        %(caller_key_id)b::text, %(reason)b::text, %(queue)b::text, %(job)b::uuid,
        %(environment)b::uuid, %(kind)b::text, %(redrive)b::uuid,
        %(former_args)b::text::jsonb, %(periodic_job)b::text)
"""


async def note(
    cursor: psycopg.AsyncCursor[Any],
    action: str,
    by: Intervention,
    *,
    queue: str | None = None,
    job_id: UUID | None = None,
    environment_id: UUID | None = None,
    kind: str | None = None,
    redrive_id: UUID | None = None,
    former_args: str | None = None,
    periodic_job: str | None = None,
) -> None:
    """Write an entry of the audit trail."""
    await cursor.execute(
        _NOTE,
        {
            "entry": new_id(),
            "action": action,
            "caller": by.caller,
            "caller_name": by.caller_name,
            "caller_key_id": by.caller_key_id,
            "reason": by.reason,
            "queue": queue,
            "job": job_id,
            "environment": environment_id,
            "kind": kind,
            "redrive": redrive_id,
            "former_args": former_args,
            "periodic_job": periodic_job,
        },
    )
