"""Limits that jobs share by keys: one after the other, so many at once, so many in a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import orjson

MAX_KEY_LENGTH = 256
MAX_KEY_ARGS = 20
MAX_RUNNING = 10_000
MAX_RATE = 1_000_000
LONGEST_PERIOD = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Which jobs of an environment share a key.

    Those with this `key`, or, where `args` are named, those with this key and the same values of
    these arguments.
    """

    key: str
    args: tuple[str, ...] = ()

    def resolve(self, environment_id: UUID | None, args: Mapping[str, object]) -> str:
        """Return the key of a job with these arguments, as the ledger knows it."""
        key = self.key
        if self.args:
            values = orjson.dumps([args.get(name) for name in self.args], option=_SORTED)
            key = f"{key}:{values.decode()}"
            if len(key) > MAX_KEY_LENGTH:
                key = f"{self.key[:128]}:{sha256(key.encode()).hexdigest()}"
        owner = environment_id.hex if environment_id is not None else ""
        return f"{owner}:{key}"


def given_key(key: str | None) -> str | None:
    """Return a key as it was given, of one as the ledger knows it."""
    return None if key is None else key.partition(":")[2]


_SORTED = orjson.OPT_SORT_KEYS


@dataclass(frozen=True, slots=True)
class ConcurrencyRule:
    """At most `max_running` jobs of the key run at once."""

    key: KeyRule
    max_running: int


@dataclass(frozen=True, slots=True)
class RateRule:
    """Jobs of the key are begun `interval` apart on the average, up to `burst` of them at once.

    In any time t no more than burst + t / interval (GCRA).
    """

    key: KeyRule
    interval: timedelta
    burst: int


def rate_rule(key: KeyRule, *, count: int, period: timedelta, burst: int) -> RateRule:
    """Make a rate of `count` in a period. Raises ValueError, with what is wrong."""
    if not 1 <= count <= MAX_RATE:
        raise ValueError(f"count must be between 1 and {MAX_RATE}")
    if not 1 <= burst <= MAX_RATE:
        raise ValueError(f"burst must be between 1 and {MAX_RATE}")
    interval = period / count
    if interval < timedelta(microseconds=1) or period > LONGEST_PERIOD:
        raise ValueError(
            "period must be a microsecond for each of count at least, 366 days at most"
        )
    # The start that a full burst reaches must be a time that PostgreSQL knows.
    if burst * interval > 10 * LONGEST_PERIOD:
        raise ValueError("burst takes more than ten years to come by")
    return RateRule(key, interval, burst)


@dataclass(frozen=True, slots=True)
class LimitRules:
    """The limits of a job, or of a kind's jobs."""

    serial: KeyRule | None = None
    concurrency: ConcurrencyRule | None = None
    rate: RateRule | None = None


NO_LIMITS = LimitRules()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one job, under the keys by which the ledger knows them.

    Jobs of one `lane` stand in one line: those that share all limits, and all of one serial key.
    """

    lane: UUID
    serial_key: str | None = None
    concurrency_key: str | None = None
    max_running: int | None = None
    rate_key: str | None = None
    rate_interval: timedelta | None = None
    rate_burst: int | None = None


def limits_of(
    rules: LimitRules, environment_id: UUID | None, args: Mapping[str, object]
) -> Limits | None:
    """Resolve the limits of a job with these arguments; None when it has none."""
    serial, concurrency, rate = rules.serial, rules.concurrency, rules.rate
    if serial is None and concurrency is None and rate is None:
        return None
    serial_key = serial.resolve(environment_id, args) if serial else None
    concurrency_key = concurrency.key.resolve(environment_id, args) if concurrency else None
    rate_key = rate.key.resolve(environment_id, args) if rate else None
    return Limits(
        lane=_lane(serial_key, concurrency_key, rate_key),
        serial_key=serial_key,
        concurrency_key=concurrency_key,
        max_running=concurrency.max_running if concurrency else None,
        rate_key=rate_key,
        rate_interval=rate.interval if rate else None,
        rate_burst=rate.burst if rate else None,
    )


def with_other_keys(limits: Limits, former: Limits | None, now: Limits | None) -> Limits:
    """Return a job's limits after its arguments were edited.

    `former` and `now` are those that its kind gives for its former arguments and for these. The
    keys that are the kind's become those of now; what the job's own command gave it stays: nobody
    knows any more which arguments that was made of.
    """
    if former is None or now is None:
        return limits
    serial_key, concurrency_key, rate_key = (
        after if own == before and own is not None else own
        for own, before, after in (
            (limits.serial_key, former.serial_key, now.serial_key),
            (limits.concurrency_key, former.concurrency_key, now.concurrency_key),
            (limits.rate_key, former.rate_key, now.rate_key),
        )
    )
    return replace(
        limits,
        lane=_lane(serial_key, concurrency_key, rate_key),
        serial_key=serial_key,
        concurrency_key=concurrency_key,
        rate_key=rate_key,
    )


def _lane(serial_key: str | None, concurrency_key: str | None, rate_key: str | None) -> UUID:
    line: Sequence[str | None] = (
        (serial_key,) if serial_key is not None else (None, concurrency_key, rate_key)
    )
    return UUID(bytes=sha256(orjson.dumps(line)).digest()[:16])
