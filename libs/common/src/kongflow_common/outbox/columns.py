"""Outbox rows inside hot statements, and back from the table.

A hot statement writes its rows and their messages at once:

    MESSAGES = OutboxRows("events", join="JOIN stored ON stored.id = o.owner")
    STATEMENT = f'''
        WITH stored AS (INSERT INTO events.event_records ... RETURNING id),
             sent AS ({MESSAGES.insert} RETURNING id)
        SELECT ...'''
    await pool.execute(STATEMENT, {**ROWS.bind(rows), **MESSAGES.bind(messages, claim, owners)})

Each message names its owner, the row it belongs to; the join leaves out those whose owner was
not stored.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.outbox.limits import JobLimits
from kongflow_common.outbox.message import (
    JobKeyMode,
    Operation,
    OutboxMessage,
    Priority,
    Uniqueness,
)

__all__ = [
    "CLAIM_SECONDS",
    "MESSAGE_COLUMNS",
    "STORED_COLUMNS",
    "OutboxRows",
    "message_from_row",
    "stored_values",
]

CLAIM_SECONDS = 15
"""How long a relay has for sending what it claimed before another one may."""

MESSAGE_COLUMNS = (
    "id, operation, kind, args, queue, job_key, job_key_mode, uniqueness, generation, run_at, "
    "priority, max_attempts, options, environment_id, traceparent"
)

STORED_COLUMNS = MESSAGE_COLUMNS.replace("args", "args::text")
"""MESSAGE_COLUMNS as `message_from_row` reads them: arguments are passed on, not looked into."""

_NO_OPTIONS = b"{}"
_LIMITS = {"serial", "concurrency", "rate"}

StoredValues = tuple[
    UUID,
    str,
    str,
    bytes,
    str,
    str | None,
    str,
    bytes | None,
    int,
    datetime | None,
    int,
    int,
    bytes,
    UUID | None,
    str,
]


def stored_values(message: OutboxMessage) -> StoredValues:
    """The values of MESSAGE_COLUMNS."""
    uniqueness = None
    if message.unique is not None:
        uniqueness = _dump_uniqueness(message.unique)
    return (
        message.id,
        message.operation.value,
        message.kind,
        message.args,
        message.queue,
        message.job_key or None,
        message.job_key_mode.value,
        uniqueness,
        message.generation,
        message.run_at,
        int(message.priority),
        message.max_attempts,
        _dump_options(message),
        message.environment_id,
        message.traceparent,
    )


def message_from_row(row: Sequence[Any]) -> OutboxMessage:
    """The message that a row of STORED_COLUMNS holds."""
    (
        id_,
        operation,
        kind,
        args,
        queue,
        job_key,
        job_key_mode,
        uniqueness,
        generation,
        run_at,
        priority,
        max_attempts,
        options,
        environment_id,
        traceparent,
    ) = row
    unique = None
    if uniqueness is not None:
        unique = _read_uniqueness(uniqueness)
    return OutboxMessage(
        id=id_,
        operation=Operation(operation),
        kind=kind,
        args=args.encode(),
        queue=queue,
        job_key=job_key or "",
        job_key_mode=JobKeyMode(job_key_mode),
        generation=generation,
        run_at=run_at,
        priority=Priority(priority),
        max_attempts=max_attempts,
        tags=tuple(options.get("tags", ())),
        metadata=options.get("metadata", {}),
        environment_id=environment_id,
        traceparent=traceparent,
        unique=unique,
        limits=JobLimits.from_options(options) if options.keys() & _LIMITS else None,
        delay=_read_duration(options.get("delay_us")),
        longest_wait=_read_duration(options.get("longest_wait_us")),
    )


def _dump_options(message: OutboxMessage) -> bytes:
    options: dict[str, object] = {}
    if message.tags or message.metadata:
        options = {"tags": message.tags, "metadata": dict(message.metadata)}
    if message.delay is not None:
        options["delay_us"] = _microseconds(message.delay)
    if message.longest_wait is not None:
        options["longest_wait_us"] = _microseconds(message.longest_wait)
    if message.limits is not None:
        options |= message.limits.to_options()
    return orjson.dumps(options) if options else _NO_OPTIONS


def _dump_uniqueness(unique: Uniqueness) -> bytes:
    dumped: dict[str, object] = {"by_args": unique.by_args, "args": unique.args}
    # What is left out is not written: programs of the last version read it too.
    if unique.by_queue:
        dumped["by_queue"] = True
    if unique.by_kind:
        dumped["by_kind"] = True
    if unique.window is not None:
        dumped["window_us"] = _microseconds(unique.window)
    if unique.states:
        dumped["states"] = unique.states
    return orjson.dumps(dumped)


def _read_uniqueness(dumped: Mapping[str, Any]) -> Uniqueness:
    return Uniqueness(
        by_args=dumped["by_args"],
        args=tuple(dumped["args"]),
        by_queue=dumped.get("by_queue", False),
        by_kind=dumped.get("by_kind", False),
        window=_read_duration(dumped.get("window_us")),
        states=tuple(dumped.get("states", ())),
    )


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _read_duration(microseconds: int | None) -> timedelta | None:
    return None if microseconds is None else timedelta(microseconds=microseconds)


class OutboxRows:
    """The part of a hot statement that writes messages to the outbox of `schema`.

    `insert` is an INSERT without RETURNING, over the alias `o`, for use inside WITH. `join` is
    what follows its FROM; `o.owner` is the id that `bind` was given for the message.
    """

    def __init__(self, schema: str, *, join: str = "") -> None:
        self._rows = RowParameters(
            "o",
            id="uuid",
            operation="text",
            kind="text",
            args="jsonb",
            queue="text",
            job_key="text",
            job_key_mode="text",
            uniqueness="jsonb",
            generation="bigint",
            run_at="timestamptz",
            priority="smallint",
            max_attempts="integer",
            options="jsonb",
            environment_id="uuid",
            traceparent="text",
            owner="uuid",
        )
        self.insert = (
            f"INSERT INTO {schema}.outbox "  # nosec B608 - the schema is the program's own
            f"({MESSAGE_COLUMNS}, claimed_until, claimed_by) "
            f"SELECT {', '.join(f'o.{name}' for name in MESSAGE_COLUMNS.split(', '))}, "
            f"CASE WHEN %(o_claimed_by)b::text IS NOT NULL "
            f"THEN clock_timestamp() + interval '{CLAIM_SECONDS} seconds' END, "
            f"%(o_claimed_by)b::text "
            f"FROM {self._rows.source} {join}"
        ).rstrip()

    def bind(
        self,
        messages: Sequence[OutboxMessage],
        claimed_by: str | None,
        owners: Sequence[UUID] | None = None,
    ) -> dict[str, object]:
        """The parameters of `insert`.

        `claimed_by` is what the relay's `claimed_by_for_new_rows` says; `owners` has one id per
        message, the message's own when left out.
        """
        if owners is None:
            rows = [(*stored_values(message), message.id) for message in messages]
        else:
            rows = [
                (*stored_values(message), owner)
                for message, owner in zip(messages, owners, strict=True)
            ]
        return {**self._rows.bind(rows), "o_claimed_by": claimed_by}
