"""Who stepped in, how, when and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import FieldType, Filter, FilterField


@unique
class AuditAction(StrEnum):
    """What was done. The values are those of the database."""

    RETRY = "retry"
    EDIT = "edit"
    CANCEL = "cancel"
    DELETE = "delete"
    PAUSE = "pause"
    RESUME = "resume"
    REDRIVE = "redrive"
    CANCEL_REDRIVE = "cancel_redrive"
    LIMIT = "limit"
    RUN = "run"


AUDIT_FIELDS = (
    FilterField("action", FieldType.ENUM, [action.name for action in AuditAction]),
    FilterField("caller_name", FieldType.TEXT),
    FilterField("caller_key_id", FieldType.TEXT),
    FilterField("queue", FieldType.TEXT),
    FilterField("queued_job_id", FieldType.ID),
    FilterField("kind", FieldType.TEXT),
    FilterField("environment_id", FieldType.ID),
    FilterField("redrive_id", FieldType.ID),
    FilterField("periodic_job", FieldType.TEXT),
    FilterField("create_time", FieldType.TIME),
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Somebody stepped in. `former_args` is a UTF-8 JSON object.

    Of a limit `max_running` is what was set, None when it was taken away.
    """

    id: UUID
    created_at: datetime
    action: AuditAction
    caller: str
    caller_name: str
    caller_key_id: str
    reason: str | None
    queue: str | None
    queued_job_id: UUID | None
    kind: str | None
    environment_id: UUID | None
    redrive_id: UUID | None
    former_args: bytes | None
    periodic_job: str | None
    max_running: int | None


class AuditReader(Protocol):
    """Reads the audit trail."""

    async def newest(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[AuditEntry]:
        """Return entries, newest first, those older than the entry `before`.

        With an environment only those of its jobs and redrives.
        """


class AuditQueries:
    """Queries over the audit trail."""

    def __init__(self, reader: AuditReader) -> None:
        self._reader = reader

    async def list(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[AuditEntry]:
        """Return entries; see AuditReader.newest."""
        return await self._reader.newest(environment_id, condition, before=before, limit=limit)
