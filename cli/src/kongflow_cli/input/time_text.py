"""Times and durations as people write them."""

import re
from datetime import UTC, datetime, timedelta

import typer
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d{1,9}[dhms])+|\d{1,9}")
_PART = re.compile(r"(\d+)([dhms]?)")


def parse_duration(text: str) -> timedelta:
    """Reads `90s`, `5m`, `1h30m`, `2d`, or a number of seconds; raises typer.BadParameter."""
    if _DURATION.fullmatch(text.strip()) is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 30s, 5m, 1h30m or 2d.")
    seconds = sum(int(number) * _UNIT_SECONDS[unit or "s"] for number, unit in _PART.findall(text))
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long.") from None


def parse_time(text: str) -> datetime:
    """Reads an ISO 8601 time with its zone, in UTC then; raises typer.BadParameter."""
    try:
        time = datetime.fromisoformat(text.strip())
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(f"{text!r} is not a time with its zone, such as 2026-05-01T12:00:00Z.")


def parse_since(text: str) -> datetime:
    """Reads a time, or how long ago it was; raises typer.BadParameter."""
    return _from_now(text, -1)


def parse_until(text: str) -> datetime:
    """Reads a time, or how far ahead it is; raises typer.BadParameter."""
    return _from_now(text, 1)


def _from_now(text: str, direction: int) -> datetime:
    if _DURATION.fullmatch(text.strip()) is None:
        return parse_time(text)
    try:
        return datetime.now(UTC) + direction * parse_duration(text)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long.") from None


def to_timestamp(time: datetime) -> Timestamp:
    """Writes an aware time as a message."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def to_duration(duration: timedelta) -> Duration:
    """Writes a duration as a message."""
    message = Duration()
    message.FromTimedelta(duration)
    return message
