"""Commands and their results between wire and program."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.errors import InvalidField, KongflowError
from kongflow_common.rpc.field_parsing import (
    bounded_int,
    optional_enum,
    optional_id,
    optional_text,
    required_enum,
    required_id,
    required_text,
    texts,
)
from kongflow_common.rpc.payload_mapping import json_of_struct
from kongflow_common.rpc.timestamps import from_duration, from_timestamp
from kongflow_common.tracing import parse_traceparent
from kongflow_workerqueue.application.enqueue_command import EnqueueCommand, NoUniqueness
from kongflow_workerqueue.application.ports import InsertOutcome, InsertResult, Removal
from kongflow_workerqueue.domain.states import (
    FINAL_STATES,
    UNFINISHED_STATES,
    WAITING_STATES,
    JobKeyMode,
    JobState,
    Priority,
)
from kongflow_workerqueue.domain.uniqueness import MAX_WINDOW, Uniqueness
from kongflow_workerqueue.rpc.error_catalog import CATALOG
from kongflow_workerqueue.rpc.limit_mapping import to_concurrency, to_rate, to_serial

MAX_KIND_LENGTH = 200
MAX_QUEUE_LENGTH = 128
MAX_ATTEMPTS = 1_000
MAX_TAGS = 20
MAX_TAG_LENGTH = 64
MAX_UNIQUE_ARGS = 20
MAX_DELAY = timedelta(days=3_650)
_SHORTEST = timedelta(milliseconds=1)
_MAX_GENERATION = 2**63 - 1
_NOT_OF_REMOVALS: Final = ("run_time", "delay", "longest_wait", "unique")

PRIORITIES: Mapping[int, Priority] = {
    job_options_pb2.PRIORITY_HIGH: Priority.HIGH,
    job_options_pb2.PRIORITY_NORMAL: Priority.NORMAL,
    job_options_pb2.PRIORITY_LOW: Priority.LOW,
    job_options_pb2.PRIORITY_VERY_LOW: Priority.VERY_LOW,
}
_JOB_KEY_MODES: Mapping[int, JobKeyMode] = {
    pb.EnqueueCommand.JOB_KEY_MODE_REPLACE: JobKeyMode.REPLACE,
    pb.EnqueueCommand.JOB_KEY_MODE_PRESERVE_RUN_TIME: JobKeyMode.PRESERVE_RUN_AT,
    pb.EnqueueCommand.JOB_KEY_MODE_KEEP_FIRST: JobKeyMode.KEEP_FIRST,
}
UNIQUE_STATES: Mapping[int, JobState] = {
    job_options_pb2.Uniqueness.STATE_AVAILABLE: JobState.AVAILABLE,
    job_options_pb2.Uniqueness.STATE_SCHEDULED: JobState.SCHEDULED,
    job_options_pb2.Uniqueness.STATE_RUNNING: JobState.RUNNING,
    job_options_pb2.Uniqueness.STATE_RETRYABLE: JobState.RETRYABLE,
    job_options_pb2.Uniqueness.STATE_COMPLETED: JobState.COMPLETED,
    job_options_pb2.Uniqueness.STATE_CANCELLED: JobState.CANCELLED,
    job_options_pb2.Uniqueness.STATE_DISCARDED: JobState.DISCARDED,
}


def to_command(message: pb.EnqueueCommand) -> EnqueueCommand | Removal | KongflowError:
    """Read a command, or say in its place what is wrong with it."""
    try:
        if message.operation == pb.EnqueueCommand.OPERATION_ENQUEUE:
            return _to_enqueue_command(message)
        if message.operation == pb.EnqueueCommand.OPERATION_REMOVE:
            return _to_removal(message)
        raise InvalidField("operation", "must be OPERATION_ENQUEUE or OPERATION_REMOVE")
    except InvalidField as error:
        return error


def _to_enqueue_command(message: pb.EnqueueCommand) -> EnqueueCommand:
    job_key = optional_text(message.job_key, "job_key")
    job_key_mode = optional_enum(message.job_key_mode, "job_key_mode", _JOB_KEY_MODES)
    if job_key is None:
        _refuse_key_options(message, job_key_mode)
    return EnqueueCommand(
        id=required_id(message.outbox_id, "outbox_id"),
        kind=required_text(message.kind, "kind", max_length=MAX_KIND_LENGTH),
        args=message.args,
        queue=optional_text(message.queue, "queue", max_length=MAX_QUEUE_LENGTH),
        job_key=job_key,
        job_key_mode=job_key_mode or JobKeyMode.REPLACE,
        generation=bounded_int(
            message.generation, "generation", at_least=0, at_most=_MAX_GENERATION
        ),
        run_at=(
            from_timestamp(message.run_time, "run_time") if message.HasField("run_time") else None
        ),
        priority=optional_enum(message.priority, "priority", PRIORITIES),
        max_attempts=bounded_int(
            message.max_attempts, "max_attempts", at_least=0, at_most=MAX_ATTEMPTS
        ),
        tags=(
            texts(message.tags, "tags", max_items=MAX_TAGS, max_length=MAX_TAG_LENGTH)
            if message.tags
            else ()
        ),
        metadata=(
            json_of_struct(message.metadata, "metadata").text
            if message.HasField("metadata")
            else None
        ),
        environment_id=_environment_id(message.environment_id),
        traceparent=_traceparent(message.traceparent),
        unique=_to_uniqueness(message),
        serial=to_serial(message),
        concurrency=to_concurrency(message),
        rate=to_rate(message),
        delay=_to_delay(message) if message.HasField("delay") else None,
        longest_wait=(
            _to_longest_wait(message, job_key, job_key_mode)
            if message.HasField("longest_wait")
            else None
        ),
    )


def _refuse_key_options(message: pb.EnqueueCommand, mode: JobKeyMode | None) -> None:
    # The mode that replaces says nothing without a key, and enqueuers send it all the same.
    if mode not in {None, JobKeyMode.REPLACE}:
        raise InvalidField("job_key_mode", "is given without a job key")
    if message.generation:
        raise InvalidField("generation", "is given without a job key")


def _to_delay(message: pb.EnqueueCommand) -> timedelta:
    if message.HasField("run_time"):
        raise InvalidField("delay", "is given beside a run time")
    return from_duration(message.delay, "delay", at_most=MAX_DELAY)


def _to_longest_wait(
    message: pb.EnqueueCommand, job_key: str | None, mode: JobKeyMode | None
) -> timedelta:
    if job_key is None:
        raise InvalidField("longest_wait", "is given without a job key")
    if mode not in {None, JobKeyMode.REPLACE}:
        raise InvalidField("longest_wait", "is for JOB_KEY_MODE_REPLACE")
    if not (message.HasField("run_time") or message.HasField("delay")):
        raise InvalidField("longest_wait", "is given without a run time or a delay")
    return from_duration(
        message.longest_wait, "longest_wait", at_least=_SHORTEST, at_most=MAX_DELAY
    )


def _to_removal(message: pb.EnqueueCommand) -> Removal:
    for field in _NOT_OF_REMOVALS:
        if message.HasField(field):
            raise InvalidField(field, "is given with a removal")
    return Removal(
        id=required_id(message.outbox_id, "outbox_id"),
        kind=required_text(message.kind, "kind", max_length=MAX_KIND_LENGTH),
        job_key=required_text(message.job_key, "job_key"),
        environment_id=_environment_id(message.environment_id),
        generation=bounded_int(
            message.generation, "generation", at_least=0, at_most=_MAX_GENERATION
        ),
    )


@lru_cache(maxsize=1_024)
def _environment_id(text: str) -> UUID | None:
    # Many commands, few environments: reading an id costs as much as all the rest of a field.
    return optional_id(text, "environment_id")


def _to_uniqueness(message: pb.EnqueueCommand) -> Uniqueness | NoUniqueness | None:
    if not message.HasField("unique"):
        return None
    unique = message.unique
    if unique.args and not unique.by_args:
        raise InvalidField("unique.args", "are given without by_args")
    if not (unique.by_args or unique.by_queue or unique.by_kind):
        for field, _ in unique.ListFields():
            raise InvalidField(f"unique.{field.name}", "is given without uniqueness")
        return NoUniqueness()
    return Uniqueness(
        args=(
            texts(unique.args, "unique.args", max_items=MAX_UNIQUE_ARGS) if unique.by_args else None
        ),
        by_queue=unique.by_queue,
        window=(
            from_duration(unique.window, "unique.window", at_least=_SHORTEST, at_most=MAX_WINDOW)
            if unique.HasField("window")
            else None
        ),
        states=_to_states(unique.states) if unique.states else UNFINISHED_STATES,
    )


def _to_states(numbers: Iterable[int]) -> frozenset[JobState]:
    states = frozenset(
        required_enum(number, f"unique.states[{index}]", UNIQUE_STATES)
        for index, number in enumerate(numbers)
    )
    if not states >= WAITING_STATES:
        raise InvalidField("unique.states", "must hold AVAILABLE, SCHEDULED and RETRYABLE")
    if states & FINAL_STATES and JobState.RUNNING not in states:
        raise InvalidField("unique.states", "must hold RUNNING if they hold an ended one")
    return states


def _traceparent(text: str) -> str | None:
    # A trace is a convenience: a job is not refused for the want of one.
    return text if text and parse_traceparent(text) is not None else None


def to_result(outcome: InsertOutcome | KongflowError, index: int) -> pb.EnqueueResult:
    """Write what became of the command at `index`."""
    if isinstance(outcome, InvalidField):
        outcome = outcome.within(f"commands[{index}]")
    if isinstance(outcome, KongflowError):
        return pb.EnqueueResult(status=CATALOG.status_of(outcome))
    result = pb.EnqueueResult()
    if outcome.job_id is not None:
        result.queued_job_id = str(outcome.job_id)
    if outcome.result is InsertResult.SKIPPED_AS_DUPLICATE:
        result.unique_skipped_as_duplicate = True
    return result
