"""When two queued jobs count as the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import orjson

from kongflow_workerqueue.domain.states import (
    FINAL_STATES,
    UNFINISHED_STATES,
    WAITING_STATES,
    JobState,
)

MAX_WINDOW = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """Same kind, same environment and what is compared, while the first one counts.

    `args` names the arguments that are compared: all of them when empty, none when it is None.
    The first one counts while it is in one of `states`, and with a `window` no longer than that
    after its creation.
    """

    args: tuple[str, ...] | None = ()
    by_queue: bool = False
    window: timedelta | None = None
    states: frozenset[JobState] = UNFINISHED_STATES

    def __post_init__(self) -> None:
        """Refuse a rule under which a job could take back a place that it has lost."""
        if not self.states >= WAITING_STATES:
            raise ValueError("states must hold available, scheduled and retryable")
        if self.states & FINAL_STATES and JobState.RUNNING not in self.states:
            raise ValueError("states must hold running if they hold an ended one")
        if self.window is not None and not timedelta() < self.window <= MAX_WINDOW:
            raise ValueError(f"window must be positive and at most {MAX_WINDOW.days} days")


@dataclass(frozen=True, slots=True)
class Place:
    """What a job has while it may be the only one of those that count as the same.

    `until` is the end of its window. A job without a place keeps nobody out.
    """

    rule: Uniqueness
    until: datetime | None

    @classmethod
    def taken(cls, rule: Uniqueness, at: datetime) -> "Place":
        """The place of a job that is created, or gets other arguments, at this time."""
        return cls(rule, None if rule.window is None else at + rule.window)

    def keeps_out(self, state: JobState, now: datetime) -> bool:
        """Whether a job in this state is the one that a duplicate is answered with."""
        return state in self.rule.states and not self.has_passed(now)

    def has_passed(self, now: datetime) -> bool:
        """Whether whoever wants the place may have it: the job that has it gives it up then."""
        return self.until is not None and self.until <= now

    def after_claim(self) -> "Place | None":
        """What is left of it once the job is called: it may be another's when the job waits."""
        return self if JobState.RUNNING in self.rule.states else None

    def after_retry(self, now: datetime) -> "Place | None":
        """What is left of it once the job is made available by an operator."""
        return None if self.has_passed(now) else self


def unique_key(
    kind: str,
    environment_id: UUID | None,
    queue: str,
    args: Mapping[str, object],
    uniqueness: Uniqueness,
) -> UUID:
    """Compute what two jobs that count as the same have in common.

    A digest in the shape of a UUID: PostgreSQL compares and indexes that type in 16 bytes
    without a length word.
    """
    environment = environment_id.hex if environment_id is not None else ""
    parts = [kind, environment]
    if uniqueness.by_queue:
        parts.append(queue)
    if uniqueness.args:
        args = {name: args[name] for name in uniqueness.args if name in args}
    compared = b"*"
    if uniqueness.args is not None:
        compared = orjson.dumps(args, option=orjson.OPT_SORT_KEYS)
    # A zero byte occurs in none of the parts, so no two lists of parts run together.
    text = "\0".join(parts).encode() + b"\0" + compared
    return UUID(bytes=sha256(text).digest()[:16])
