"""Times and durations between the wire and the program, in microseconds' precision."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow_common.errors import InvalidField

__all__ = [
    "from_duration",
    "from_timestamp",
    "is_within_range",
    "to_duration",
    "to_timestamp",
    "write_timestamp",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(2101, 1, 1, tzinfo=UTC)
_END_SECONDS = (_END - _EPOCH) // timedelta(seconds=1)
_DAY_SECONDS = 86_400
_SECOND_NANOS = 1_000_000_000
_MAX_DURATION_SECONDS = 315_576_000_000


def to_timestamp(time: datetime) -> Timestamp:
    """Write an aware time."""
    timestamp = Timestamp()
    write_timestamp(time, timestamp)
    return timestamp


def write_timestamp(time: datetime, timestamp: Timestamp) -> None:
    """Write an aware time into the field of a message, which costs half of giving it one."""
    since = time - _EPOCH
    timestamp.seconds = since.days * _DAY_SECONDS + since.seconds
    timestamp.nanos = since.microseconds * 1000


def from_timestamp(timestamp: Timestamp, field: str) -> datetime:
    """Read a time between the years 1970 and 2100, in UTC; what is below a microsecond goes.

    Raises InvalidField, naming `field`, for a time outside of them.
    """
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if is_within_range(seconds, nanos):
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    if not 0 <= seconds < _END_SECONDS:
        raise InvalidField(field, "must be between the years 1970 and 2100")
    raise InvalidField(field, "has nanos that are not between 0 and 999,999,999")


def is_within_range(seconds: int, nanos: int) -> bool:
    """Whether `from_timestamp` takes a time since 1970."""
    return 0 <= seconds < _END_SECONDS and 0 <= nanos < _SECOND_NANOS


def to_duration(duration: timedelta) -> Duration:
    """Write a duration."""
    message = Duration()
    message.FromTimedelta(duration)
    return message


def from_duration(
    duration: Duration,
    field: str,
    *,
    at_least: timedelta = timedelta(0),
    at_most: timedelta = timedelta(days=36_500),
) -> timedelta:
    """Read a duration within bounds; what is below a microsecond goes.

    Raises InvalidField, naming `field`, for one outside of them.
    """
    seconds, nanos = duration.seconds, duration.nanos
    malformed = (
        abs(seconds) > _MAX_DURATION_SECONDS
        or abs(nanos) >= _SECOND_NANOS
        or (seconds > 0 > nanos)
        or (seconds < 0 < nanos)
    )
    if malformed:
        raise InvalidField(field, "is not a duration that google.protobuf.Duration allows")
    value = timedelta(seconds=seconds, microseconds=int(nanos / 1000))
    if not at_least <= value <= at_most:
        raise InvalidField(
            field,
            f"must be between {at_least.total_seconds():.15g} and "
            f"{at_most.total_seconds():.15g} seconds",
        )
    return value
