"""Notes who stepped in, in the transaction that does what was asked."""

from typing import Any, TypedDict, Unpack
from uuid import UUID

import psycopg

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.intervention import Intervention

_NOTE = """
INSERT INTO workerqueue.audit_entries (
    id, action, caller, caller_name, caller_key_id, reason, queue, queued_job_id, environment_id,
    kind, redrive_id, former_args, periodic_job, max_running)
VALUES (%(entry)b::uuid, %(action)b::text, %(caller)b::text, %(caller_name)b::text,
        %(caller_key_id)b::text, %(reason)b::text, %(queue)b::text, %(job)b::uuid,
        %(environment)b::uuid, %(kind)b::text, %(redrive)b::uuid,
        %(former_args)b::text::jsonb, %(periodic_job)b::text, %(max_running)b::integer)
"""


class Subject(TypedDict, total=False):
    """What was stepped into, and what is to be known of it later."""

    queue: str
    job_id: UUID | None
    environment_id: UUID | None
    kind: str
    redrive_id: UUID
    former_args: str
    periodic_job: str
    max_running: int | None


async def note(
    cursor: psycopg.AsyncCursor[Any], action: str, by: Intervention, **subject: Unpack[Subject]
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
            "queue": subject.get("queue"),
            "job": subject.get("job_id"),
            "environment": subject.get("environment_id"),
            "kind": subject.get("kind"),
            "redrive": subject.get("redrive_id"),
            "former_args": subject.get("former_args"),
            "periodic_job": subject.get("periodic_job"),
            "max_running": subject.get("max_running"),
        },
    )
