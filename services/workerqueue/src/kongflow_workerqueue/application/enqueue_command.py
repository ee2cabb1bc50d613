"""A command of an outbox, and what the ledger is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast
from uuid import UUID

from kongflow_common.errors import InvalidField
from kongflow_common.payload import MAX_PAYLOAD_BYTES, parse_json
from kongflow_workerqueue.application.catalogue_ports import ArgsRefused, Catalogue, KindPolicy
from kongflow_workerqueue.application.ports import NewJob, Removal
from kongflow_workerqueue.domain.errors import KindNotOwned
from kongflow_workerqueue.domain.limits import (
    NO_LIMITS,
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    Limits,
    RateRule,
    limits_of,
)
from kongflow_workerqueue.domain.states import (
    UNFINISHED_STATES,
    WAITING_FOR_KIND,
    JobKeyMode,
    Priority,
)
from kongflow_workerqueue.domain.uniqueness import Uniqueness, unique_key

DEFAULT_QUEUE = "default"
DEFAULT_MAX_ATTEMPTS = 25
MAX_ARGS_DEPTH = 30
"""Operators read the arguments as a google.protobuf.Struct, which holds no more levels."""


@dataclass(frozen=True, slots=True)
class NoUniqueness:
    """The command says that its job never counts as the same as another."""


@dataclass(frozen=True, slots=True)
class NoLimit:
    """The command says that its job does not have a limit that its kind has."""


@dataclass(frozen=True, slots=True)
class EnqueueCommand:
    """Stores a job; what is None or 0 the kind's policy decides."""

    id: UUID
    kind: str
    args: bytes
    queue: str | None
    job_key: str | None
    job_key_mode: JobKeyMode
    generation: int
    run_at: datetime | None
    priority: Priority | None
    max_attempts: int
    tags: tuple[str, ...]
    metadata: bytes | None
    environment_id: UUID | None
    traceparent: str | None
    unique: Uniqueness | NoUniqueness | None
    serial: KeyRule | NoLimit | None = None
    concurrency: ConcurrencyRule | NoLimit | None = None
    rate: RateRule | NoLimit | None = None
    delay: timedelta | None = None
    longest_wait: timedelta | None = None


def check_owner(kind: str, catalogue: Catalogue, caller: str) -> KindPolicy | None:
    """Find a kind's policy; None when no target declares it, which any service may enqueue.

    Raises KindNotOwned.
    """
    policy = catalogue.find(kind)
    if policy is not None and caller != policy.target and caller not in policy.enqueuers:
        raise KindNotOwned(kind, policy.target)
    return policy


def ledger_command(
    command: EnqueueCommand | Removal,
    catalogue: Catalogue,
    caller: str,
    *,
    with_unknown_args: bool = False,
) -> NewJob | Removal:
    """Fill a command in from the kind's policy. Raises InvalidField and KindNotOwned.

    Arguments that the kind does not know are refused unless `with_unknown_args` lets them pass.
    """
    policy = check_owner(command.kind, catalogue, caller)
    if isinstance(command, Removal):
        return command
    args = _checked_args(command.args or b"{}", policy, with_unknown=with_unknown_args)
    queue = command.queue or (policy.queue if policy else DEFAULT_QUEUE)
    unique = command.unique
    if unique is None and policy is not None:
        unique = policy.unique
    rule = unique if isinstance(unique, Uniqueness) else None
    return NewJob(
        id=command.id,
        kind=command.kind,
        args=args.text,
        queue=queue,
        priority=command.priority or (policy.priority if policy else Priority.NORMAL),
        max_attempts=command.max_attempts
        or (policy.max_attempts if policy else DEFAULT_MAX_ATTEMPTS),
        environment_id=command.environment_id,
        run_at=command.run_at,
        job_key=command.job_key,
        job_key_mode=command.job_key_mode,
        generation=command.generation,
        tags=command.tags,
        metadata=command.metadata,
        traceparent=command.traceparent,
        waiting_for=WAITING_FOR_KIND if policy is None else None,
        delay=command.delay,
        longest_wait=command.longest_wait,
        unique_key=(
            unique_key(
                command.kind,
                command.environment_id,
                queue,
                _compared(args.fields, rule, policy),
                rule,
            )
            if rule
            else None
        ),
        unique_for=rule.window if rule else None,
        unique_states=rule.states if rule else UNFINISHED_STATES,
        limits=_limits(command, args.fields, policy),
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """Other arguments for a job, and what it has in common then with those like it.

    `unique_key` counts only for a job that has one. The limits are those that the kind gives a job
    with its former arguments, and with these.
    """

    args: bytes
    unique_key: UUID | None
    former_limits: Limits | None = None
    limits: Limits | None = None


class EditedJob(Protocol):
    """What of a job its edit depends on; `args` is a UTF-8 JSON object."""

    @property
    def kind(self) -> str: ...

    @property
    def queue(self) -> str: ...

    @property
    def environment_id(self) -> UUID | None: ...

    @property
    def args(self) -> bytes | None: ...


def edit_of(job: EditedJob, text: bytes, catalogue: Catalogue) -> Edit:
    """Read other arguments for a job that is read whole. Raises InvalidField."""
    policy = catalogue.find(job.kind)
    if policy is None:
        raise InvalidField("args", f"cannot be checked: no target declares {job.kind}")
    args = _checked_args(text, policy)
    unique = policy.unique
    key = None
    if unique is not None:
        compared = _compared(args.fields, unique, policy)
        key = unique_key(job.kind, job.environment_id, job.queue, compared, unique)
    return Edit(
        args.text,
        key,
        former_limits=policy.limits_for(job.environment_id, job.args or b"{}"),
        limits=policy.limits_for(job.environment_id, args.text),
    )


@dataclass(frozen=True, slots=True)
class _Args:
    text: bytes
    fields: dict[str, object]


def _checked_args(text: bytes, policy: KindPolicy | None, *, with_unknown: bool = False) -> _Args:
    document = parse_json(text, field="args", max_bytes=MAX_PAYLOAD_BYTES, max_depth=MAX_ARGS_DEPTH)
    fields = document.load()
    if not isinstance(fields, dict):
        raise InvalidField("args", "is not a JSON object")
    if policy is not None:
        try:
            policy.check_args(document.text, with_unknown=with_unknown)
        except ArgsRefused as error:
            raise InvalidField("args", f"is no request of {policy.kind}: {error}") from error
    return _Args(document.text, cast("dict[str, object]", fields))


def _by_json_names(fields: Mapping[str, object], policy: KindPolicy | None) -> Mapping[str, object]:
    """Read arguments by their JSON names, whichever names they were written under.

    Compared under others, what is the same would differ.
    """
    if policy is None:
        return fields
    names = policy.json_names
    return {names.get(name, name): value for name, value in fields.items()}


def _check_named(names: Sequence[str], field: str, policy: KindPolicy | None) -> None:
    """Raise InvalidField for a rule that names an argument which the kind does not have.

    It would be missing from all of them: every job of the kind would be the same.
    """
    if policy is None:
        return
    for index, name in enumerate(names):
        if policy.json_names.get(name) != name:
            raise InvalidField(f"{field}[{index}]", f"{policy.kind} has no such argument")


def _compared(
    fields: Mapping[str, object], rule: Uniqueness, policy: KindPolicy | None
) -> Mapping[str, object]:
    """Read the arguments that a rule compares. Raises InvalidField."""
    fields = _by_json_names(fields, policy)
    _check_named(rule.args or (), "unique.args", policy)
    return fields


def _limits(
    command: EnqueueCommand, fields: Mapping[str, object], policy: KindPolicy | None
) -> Limits | None:
    """Resolve a job's limits, its own or its kind's. Raises InvalidField."""
    of_kind = policy.limits if policy is not None else NO_LIMITS
    serial = command.serial or of_kind.serial
    concurrency = command.concurrency or of_kind.concurrency
    rate = command.rate or of_kind.rate
    rules = LimitRules(
        serial=None if isinstance(serial, NoLimit) else serial,
        concurrency=None if isinstance(concurrency, NoLimit) else concurrency,
        rate=None if isinstance(rate, NoLimit) else rate,
    )
    if rules == NO_LIMITS:
        return None
    fields = _by_json_names(fields, policy)
    if rules.serial is not None:
        _check_named(rules.serial.args, "serial.args", policy)
    if rules.concurrency is not None:
        _check_named(rules.concurrency.key.args, "concurrency.key.args", policy)
    if rules.rate is not None:
        _check_named(rules.rate.key.args, "rate.key.args", policy)
    return limits_of(rules, command.environment_id, fields)
