"""How a log record is written: as JSON, a line each, or for people.

A record may speak for many, which differ in their traces and fields alone (`each`): it becomes
as many lines. What looks like a key, a token or a password in a URL is blanked, wherever it
stands.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, cast

import orjson

from kongflow_common.tracing import current_trace

__all__ = ["EACH", "JsonLineFormatter", "TextLineFormatter", "redact"]

EACH: Final = "each"
"""The attribute of a record with what it speaks for: pairs of trace id and fields."""

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_PLACES: Final = 1_000
_OF_EVERY_LINE = frozenset(
    {"time", "level", "logger", "service", "instance", "message", "trace_id"}
)

# Each keeps what tells people which secret it was, and blanks the rest.
_KEY_OR_TOKEN = r"(?<![A-Za-z0-9])(?P<key>tr_|pk_|op_)[A-Za-z0-9_-]{12,}"
# Directly behind a letter or a digit too, but only what has the exact shape of a key: `stop_at` and
# `str_something` are words.
_KEY_IN_A_WORD = (
    r"(?P<inner>tr_|pk_)(?:dev|stg|prod|preview)_[A-Za-z0-9]{20}[A-Za-z0-9_-]*"
    r"|(?P<token>op_)(?=[a-z0-9]{0,19}[A-Z])(?=[A-Z0-9]{0,19}[a-z])[A-Za-z0-9]{20}(?![A-Za-z0-9])"
)
_PASSWORD_IN_URL = r"(?P<url>://[^:/@\s\"']*:)[^@\s\"']+(?=@)"
_SIGNED_TOKEN = r"(?<![A-Za-z0-9_-])(?P<jwt>eyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
_PRIVATE_KEY = r"(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]+"
_SECRETS = re.compile(
    "|".join((_KEY_OR_TOKEN, _KEY_IN_A_WORD, _PASSWORD_IN_URL, _SIGNED_TOKEN, _PRIVATE_KEY))
)
_SIGNS = ("tr_", "pk_", "op_", "://", "eyJ", "PRIVATE KEY")


def redact(text: str) -> str:
    """Blank what looks like a secret: environment keys, tokens, passwords in URLs, private keys."""
    # Most lines hold none of the signs, and six searches are cheaper than the expression.
    for sign in _SIGNS:
        if sign in text:
            return _SECRETS.sub(_blank, text)
    return text


def _blank(secret: re.Match[str]) -> str:
    return f"{secret[secret.lastgroup or 0]}[redacted]"


class JsonLineFormatter(logging.Formatter):
    """Writes a record as one JSON object."""

    def __init__(self, service: str, instance: str) -> None:
        super().__init__()
        self._service = service
        self._instance = instance
        self._origins: dict[tuple[str, int, str], str] = {}
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        head = self._head(record)
        each = _each(record)
        if each is not None:
            return "\n".join([head + _rest(trace_id, fields) for trace_id, fields in each])
        fields = _fields(record)
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        return head + _rest(_trace_id(record), fields)

    def _head(self, record: logging.LogRecord) -> str:
        """The part that all lines of a record have, without the brace at its end."""
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        microseconds = int((record.created - second) * 1_000_000)
        return f'{{"time":"{self._second_text}.{microseconds:06d}Z{self._origin(record)}'

    def _origin(self, record: logging.LogRecord) -> str:
        """What follows the time; the same for all records of one place, but for arguments."""
        if record.args:
            return self._origin_of(record)
        place = record.name, record.levelno, record.msg
        origin = self._origins.get(place)
        if origin is None:
            if len(self._origins) >= _PLACES:
                self._origins.clear()
            origin = self._origins[place] = self._origin_of(record)
        return origin

    def _origin_of(self, record: logging.LogRecord) -> str:
        origin = {
            "level": record.levelname,
            "logger": record.name,
            "service": self._service,
            "instance": self._instance,
            "message": record.getMessage(),
        }
        return redact(f'",{orjson.dumps(origin)[1:-1].decode()}')


def _rest(trace_id: str, fields: Mapping[str, object]) -> str:
    """What one line has for itself, as the end of an object that has begun."""
    if not _OF_EVERY_LINE.isdisjoint(fields):
        fields = {name: value for name, value in fields.items() if name not in _OF_EVERY_LINE}
    rest = {"trace_id": trace_id, **fields} if trace_id else fields
    if not rest:
        return "}"
    try:
        text = orjson.dumps(rest, default=str, option=_OPTIONS)
    except TypeError:
        # A field that cannot be written must not cost the line.
        text = orjson.dumps({str(name): str(value) for name, value in rest.items()})
    return redact(f",{text[1:].decode()}")


class TextLineFormatter(logging.Formatter):
    """Writes a record for people at a terminal."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        local = datetime.fromtimestamp(record.created, UTC).astimezone()
        time = local.strftime("%H:%M:%S.%f")[:-3]
        parts = [time, f"{record.levelname:<7}", self._service, record.name, record.getMessage()]
        each = _each(record)
        if each is None:
            each = [(_trace_id(record), _fields(record))]
        text = "\n".join(" ".join([*parts, *_pairs(*line)]) for line in each)
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return redact(text)


def _pairs(trace_id: str, fields: Mapping[str, object]) -> Iterable[str]:
    if trace_id:
        yield f"trace_id={trace_id}"
    for name, value in fields.items():
        yield f"{name}={value}"


def _each(record: logging.LogRecord) -> Sequence[tuple[str, Mapping[str, object]]] | None:
    return cast("Sequence[tuple[str, Mapping[str, object]]] | None", record.__dict__.get(EACH))


def _trace_id(record: logging.LogRecord) -> str:
    given = record.__dict__.get("trace_id")
    if given:
        return str(given)
    trace = current_trace()
    return trace.trace_id if trace is not None else ""


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields = record.__dict__.get("fields")
    # Nearly always a dict, and asking an abstract class costs a microsecond.
    if isinstance(fields, dict) or (fields is not None and isinstance(fields, Mapping)):
        return cast("Mapping[str, object]", fields)
    return {}
