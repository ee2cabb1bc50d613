"""Times for people."""

from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = (
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
)


def absolute(time: Timestamp) -> str:
    """Returns the time in UTC to the millisecond, e.g. `2026-05-01T12:00:00.250Z`."""
    # Timestamps reach from the year 1 to 9999, as datetime does, unless a server is mistaken.
    try:
        moment = time.ToDatetime()
    except (ValueError, OverflowError):
        return f"{time.seconds} s since 1970"
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return f"{text}Z"


def relative(time: Timestamp, now: datetime) -> str:
    """Returns how long ago the time is, or how far ahead, e.g. `3m ago`, `in 2h`."""
    seconds = time.seconds - int(now.timestamp())
    length = length_of(timedelta(seconds=abs(seconds)))
    if seconds > 0:
        return f"in {length}"
    return f"{length} ago" if seconds < 0 else "now"


def length_of(duration: timedelta) -> str:
    """Returns the length in its largest whole unit, e.g. `3m`."""
    seconds = int(duration.total_seconds())
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"
