"""Reads the limits of a kind out of its job options."""

from google.protobuf.descriptor import Descriptor

from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_workerqueue.domain.limits import (
    MAX_KEY_ARGS,
    MAX_KEY_LENGTH,
    MAX_RUNNING,
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    rate_rule,
)

__all__ = ["read_limits"]


def read_limits(options: job_options_pb2.JobOptions, request: Descriptor) -> LimitRules:
    """Reads the limits of a kind that takes `request`. Raises ValueError."""
    names = {field.json_name for field in request.fields}
    rules = LimitRules()
    if options.HasField("serial"):
        rules = LimitRules(serial=_key(options.serial, options.kind, names, "serial"))
    concurrency = rate = None
    if options.HasField("concurrency"):
        limit = options.concurrency
        if not 1 <= limit.max_running <= MAX_RUNNING:
            raise ValueError(f"concurrency: max_running must be between 1 and {MAX_RUNNING}.")
        key = _key(limit.key, options.kind, names, "concurrency")
        concurrency = ConcurrencyRule(key, limit.max_running)
    if options.HasField("rate"):
        key = _key(options.rate.key, options.kind, names, "rate")
        try:
            rate = rate_rule(
                key,
                count=options.rate.count,
                period=options.rate.period.ToTimedelta(),
                burst=options.rate.burst or 1,
            )
        except ValueError as error:
            raise ValueError(f"rate: {error}.") from error
    return LimitRules(rules.serial, concurrency, rate)


def _key(key: job_options_pb2.LimitKey, kind: str, names: set[str], limit: str) -> KeyRule:
    if len(key.key) > MAX_KEY_LENGTH or len(key.args) > MAX_KEY_ARGS:
        raise ValueError(
            f"{limit}: the key has more than {MAX_KEY_LENGTH} characters "
            f"or {MAX_KEY_ARGS} arguments."
        )
    unknown = [name for name in key.args if name not in names]
    if unknown:
        raise ValueError(f"{limit}: the request has no argument {unknown[0]}.")
    return KeyRule(key.key or kind, tuple(key.args))
