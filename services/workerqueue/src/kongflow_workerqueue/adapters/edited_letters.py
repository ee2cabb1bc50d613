"""Dead letters that are made available with other arguments, each with an entry of the audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_workerqueue.adapters.job_rows import KEEP_UNIQUE_KEY
from kongflow_workerqueue.application.edit_dead_letters import (
    ArgsChange,
    DeadLetter,
    EditDeadLetters,
)
from kongflow_workerqueue.application.enqueue_command import Edit
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.domain.limits import Limits, with_other_keys
from kongflow_workerqueue.domain.states import JobState

__all__ = ["EditedLetters"]

# Each may hold half a MiB of arguments, twice.
_LETTERS_AT_ONCE = 50

_LOCK = """
SELECT id, kind, queue, environment_id, args::text, limit_lane, serial_key, concurrency_key,
       rate_key
FROM workerqueue.queued_jobs
WHERE id = ANY(%(ids)b) AND state = %(discarded)b::text
ORDER BY id
FOR UPDATE
"""

_EDITED = RowParameters(
    "e",
    id="uuid",
    args="jsonb",
    unique_key="uuid",
    limit_lane="uuid",
    serial_key="text",
    concurrency_key="text",
    rate_key="text",
)

# The ids are named twice: so each is looked up, whatever the plan was made for.
_MAKE_AVAILABLE = f"""
UPDATE workerqueue.queued_jobs j SET
    state = 'available', turn = j.turn + 1, run_at = now(), finalized_at = NULL, attempt = 0,
    waiting_for = NULL, suspicion = 0, args = e.args,
    unique_key = CASE WHEN {KEEP_UNIQUE_KEY} IS NOT NULL THEN e.unique_key END,
    limit_lane = e.limit_lane, serial_key = e.serial_key,
    concurrency_key = e.concurrency_key, rate_key = e.rate_key
FROM {_EDITED.source}
WHERE j.id = e.id AND j.id = ANY(%(ids)b) AND j.state = %(discarded)b::text
RETURNING j.id
"""

_NOTES = RowParameters(
    "n",
    id="uuid",
    queue="text",
    queued_job_id="uuid",
    environment_id="uuid",
    kind="text",
    former_args="jsonb",
)

_NOTE = f"""
INSERT INTO workerqueue.audit_entries (
    id, queue, queued_job_id, environment_id, kind, former_args, action, caller, caller_name,
    caller_key_id, reason, redrive_id)
SELECT {_NOTES.columns}, 'edit', %(caller)b::text, %(caller_name)b::text,
       %(caller_key_id)b::text, %(reason)b::text, %(redrive)b::uuid
FROM {_NOTES.source}
"""


@dataclass(frozen=True, slots=True)
class _Letter:
    id: UUID
    former: DeadLetter
    edit: Edit
    limits: Limits | None

    def row(self) -> tuple[object, ...]:
        """The values of _EDITED."""
        limits = self.limits
        return (
            self.id,
            self.edit.args,
            self.edit.unique_key,
            limits and limits.lane,
            limits and limits.serial_key,
            limits and limits.concurrency_key,
            limits and limits.rate_key,
        )

    def note(self) -> tuple[object, ...]:
        """The values of _NOTES."""
        former = self.former
        return new_id(), former.queue, self.id, former.environment_id, former.kind, former.args


@dataclass(frozen=True, slots=True)
class EditedLetters:
    """The edits of one redrive, in the name of whoever began it."""

    edits: EditDeadLetters
    change: ArgsChange
    redrive_id: UUID
    by: Intervention

    async def make_available(
        self,
        connection: psycopg.AsyncConnection[Any],
        cursor: psycopg.AsyncCursor[Any],
        ids: Sequence[UUID],
    ) -> tuple[int, int]:
        """Edit dead letters and make them available.

        Returns how many are, and how many stay as they are because their arguments would be no
        request; the others' place is taken.
        """
        available = refused = 0
        for start in range(0, len(ids), _LETTERS_AT_ONCE):
            part = ids[start : start + _LETTERS_AT_ONCE]
            letters, bad = await self._edited(cursor, part)
            refused += bad
            done = await _make_available(connection, cursor, letters)
            available += len(done)
            await self._note(cursor, [each for each in letters if each.id in done])
        return available, refused

    async def _edited(
        self, cursor: psycopg.AsyncCursor[Any], ids: Sequence[UUID]
    ) -> tuple[list[_Letter], int]:
        await cursor.execute(
            _LOCK,
            {"ids": array_parameter("uuid", ids), "discarded": JobState.DISCARDED.value},
        )
        letters: list[_Letter] = []
        refused = 0
        for (
            id_,
            kind,
            queue,
            environment_id,
            args,
            lane,
            serial,
            concurrency,
            rate,
        ) in await cursor.fetchall():
            former = DeadLetter(kind, queue, environment_id, args.encode())
            try:
                edit = self.edits.edit(former, self.change)
            except InvalidField:
                refused += 1
                continue
            limits = None
            if lane is not None:
                limits = with_other_keys(
                    Limits(lane, serial, concurrency, rate_key=rate),
                    edit.former_limits,
                    edit.limits,
                )
            letters.append(_Letter(id_, former, edit, limits))
        return letters, refused

    async def _note(self, cursor: psycopg.AsyncCursor[Any], letters: Sequence[_Letter]) -> None:
        if not letters:
            return
        await cursor.execute(
            _NOTE,
            {
                **_NOTES.bind([letter.note() for letter in letters]),
                "caller": self.by.caller,
                "caller_name": self.by.caller_name,
                "caller_key_id": self.by.caller_key_id,
                "reason": self.by.reason,
                "redrive": self.redrive_id,
            },
        )


async def _make_available(
    connection: psycopg.AsyncConnection[Any],
    cursor: psycopg.AsyncCursor[Any],
    letters: Sequence[_Letter],
) -> frozenset[UUID]:
    """Make letters available; those whose place is taken stay as they are."""
    if not letters:
        return frozenset()
    parameters: dict[str, Any] = {
        **_EDITED.bind([letter.row() for letter in letters]),
        "ids": array_parameter("uuid", [letter.id for letter in letters]),
        "discarded": JobState.DISCARDED.value,
    }
    try:
        async with connection.transaction():
            await cursor.execute(_MAKE_AVAILABLE, parameters)
            return frozenset(id_ for (id_,) in await cursor.fetchall())
    except psycopg.errors.UniqueViolation:
        if len(letters) == 1:
            return frozenset()
    # In halves, those whose place is taken end up alone.
    middle = len(letters) // 2
    first = await _make_available(connection, cursor, letters[:middle])
    return first | await _make_available(connection, cursor, letters[middle:])
