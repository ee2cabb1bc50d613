"""When two queued jobs count as the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import orjson

from kongflow_workerqueue.domain.states import UNFINISHED_STATES, WAITING_STATES, JobState

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
        if self.window is not None and not timedelta() < self.window <= MAX_WINDOW:
            raise ValueError(f"window must be positive and at most {MAX_WINDOW.days} days")


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
