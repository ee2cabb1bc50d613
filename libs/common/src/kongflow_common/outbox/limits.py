"""What an enqueuer says of the limits that its jobs share by keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

__all__ = ["ConcurrencyLimit", "JobLimits", "LimitKey", "RateLimit"]


@dataclass(frozen=True, slots=True)
class LimitKey:
    """Jobs of one environment with this key, and the same values of these arguments."""

    key: str = ""
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """At most so many jobs of the key run at once."""

    key: LimitKey
    max_running: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `burst` jobs of the key at once, then `count` in each period, evenly."""

    key: LimitKey
    count: int
    period: timedelta
    burst: int = 1


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The limits of a job; what is left out its kind decides.

    Jobs of one `serial` key run strictly one after the other, by run time and id.
    """

    serial: LimitKey | None = None
    concurrency: ConcurrencyLimit | None = None
    rate: RateLimit | None = None

    def to_options(self) -> dict[str, object]:
        """What the outbox row's options hold of it."""
        options: dict[str, object] = {}
        if self.serial is not None:
            options["serial"] = _key_to_options(self.serial)
        if self.concurrency is not None:
            options["concurrency"] = {
                "key": _key_to_options(self.concurrency.key),
                "max_running": self.concurrency.max_running,
            }
        if self.rate is not None:
            options["rate"] = {
                "key": _key_to_options(self.rate.key),
                "count": self.rate.count,
                "period_us": self.rate.period // timedelta(microseconds=1),
                "burst": self.rate.burst,
            }
        return options

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Read what `to_options` wrote."""
        serial, concurrency, rate = map(options.get, ("serial", "concurrency", "rate"))
        return cls(
            serial=_key_from_options(serial) if serial is not None else None,
            concurrency=(
                ConcurrencyLimit(_key_from_options(concurrency["key"]), concurrency["max_running"])
                if concurrency is not None
                else None
            ),
            rate=(
                RateLimit(
                    _key_from_options(rate["key"]),
                    rate["count"],
                    timedelta(microseconds=rate["period_us"]),
                    rate["burst"],
                )
                if rate is not None
                else None
            ),
        )


def _key_to_options(key: LimitKey) -> dict[str, object]:
    return {"key": key.key, "args": key.args}


def _key_from_options(options: Mapping[str, Any]) -> LimitKey:
    return LimitKey(options["key"], tuple(options["args"]))
