"""The limits of a command from wire to program."""

from google.protobuf.message import Message

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.field_parsing import bounded_int, optional_text, texts
from kongflow_workerqueue.application.enqueue_command import NoLimit
from kongflow_workerqueue.domain.limits import (
    MAX_KEY_ARGS,
    MAX_KEY_LENGTH,
    MAX_RUNNING,
    ConcurrencyRule,
    KeyRule,
    RateRule,
    rate_rule,
)


def to_serial(command: pb.EnqueueCommand) -> KeyRule | NoLimit | None:
    """Read the serial key. Raises InvalidField."""
    if not command.HasField("serial"):
        return None
    if _is_empty(command.serial):
        return NoLimit()
    return _key(command.serial, command.kind, "serial")


def to_concurrency(command: pb.EnqueueCommand) -> ConcurrencyRule | NoLimit | None:
    """Read the concurrency limit. Raises InvalidField."""
    if not command.HasField("concurrency"):
        return None
    limit = command.concurrency
    if _is_empty(limit):
        return NoLimit()
    return ConcurrencyRule(
        _key(limit.key, command.kind, "concurrency.key"),
        bounded_int(limit.max_running, "concurrency.max_running", at_least=1, at_most=MAX_RUNNING),
    )


def to_rate(command: pb.EnqueueCommand) -> RateRule | NoLimit | None:
    """Read the rate limit. Raises InvalidField."""
    if not command.HasField("rate"):
        return None
    limit = command.rate
    if _is_empty(limit):
        return NoLimit()
    key = _key(limit.key, command.kind, "rate.key")
    try:
        return rate_rule(
            key,
            count=limit.count,
            period=limit.period.ToTimedelta(),
            burst=limit.burst or 1,
        )
    except (ValueError, OverflowError) as error:
        raise InvalidField("rate", str(error)) from error


def _key(key: job_options_pb2.LimitKey, kind: str, field: str) -> KeyRule:
    args = texts(key.args, f"{field}.args", max_items=MAX_KEY_ARGS)
    name = optional_text(key.key, f"{field}.key", max_length=MAX_KEY_LENGTH)
    if name is None and not args:
        raise InvalidField(f"{field}.key", "is required")
    return KeyRule(name or kind, args)


def _is_empty(message: Message) -> bool:
    return all(isinstance(value, Message) and _is_empty(value) for _, value in message.ListFields())
