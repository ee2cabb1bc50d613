"""Events one a line, as JSON objects whose members have the names of the options of `send`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from json import JSONDecodeError, JSONDecoder
from typing import BinaryIO, Final, TypeVar, cast
from uuid import uuid4

import typer

from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2 import SendEventRequest
from kongflow.workerqueue.v1.job_options_pb2 import Priority
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError
from kongflow_cli.input.states import PayloadTypeWord, PriorityWord
from kongflow_cli.input.time_text import parse_duration, parse_time, to_duration, to_timestamp
from kongflow_common.payload import MAX_DEPTH

__all__ = ["MAX_SCHEMA_VERSION", "EventLine", "LineRefused", "event_lines"]

_Word = TypeVar("_Word", bound=StrEnum)

MAX_SCHEMA_VERSION: Final = 2**31 - 1

# What a server takes in one request.
_MAX_LINE_BYTES: Final = 16 * 1024 * 1024

# Numbers stay as they are written: a document is sent to the byte, and an option is a text.
_WHITESPACE: Final = re.compile(r"[ \t\n\r]*")
_WHOLE_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")
_DECODER: Final = JSONDecoder(parse_int=str, parse_float=str)


class LineRefused(ValueError):
    """The line is not an event; says why."""


@dataclass(frozen=True, slots=True)
class EventLine:
    """A line that is not empty: its event, or why it is none."""

    number: int
    event: SendEventRequest | LineRefused


def event_lines(
    source: BinaryIO, defaults: SendEventRequest, first_line: int = 1
) -> Iterator[EventLine]:
    """The events of the lines; what a line leaves out, `defaults` say.

    A line without an id gets a new one. Raises CliError for a line that cannot be held.
    """
    number = 0
    while line := source.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise CliError(f"Line {number} is longer than 16 MiB.", USAGE)
        if number < first_line or not line.strip():
            continue
        try:
            yield EventLine(number, _event(line, defaults))
        except LineRefused as refused:
            yield EventLine(number, refused)


def _event(line: bytes, defaults: SendEventRequest) -> SendEventRequest:
    request = SendEventRequest()
    request.CopyFrom(defaults)
    members = _members(line)
    if not {"at", "after"}.isdisjoint(members):
        request.ClearField("deliver_time")
        request.ClearField("deliver_after")
    if {"at", "after"} <= members.keys():
        raise LineRefused("at and after exclude each other")
    for name, (value, text) in members.items():
        write = _MEMBERS.get(name)
        if write is None:
            raise LineRefused(f"{name!r} is not known; known are {', '.join(_MEMBERS)}")
        try:
            write(request, value, text)
        except (ValueError, typer.BadParameter) as error:
            raise LineRefused(f"{name}: {error}") from None
    if not request.event.event_id:
        request.event.event_id = str(uuid4())
    return request


def _members(line: bytes) -> dict[str, tuple[object, str]]:
    """The members of a JSON object: each with its value, and as it is written."""
    try:
        return dict(_scan(line.decode()))
    except UnicodeDecodeError:
        raise LineRefused("is not UTF-8") from None
    except JSONDecodeError as error:
        raise LineRefused(f"is not JSON: {error}") from None


def _scan(text: str) -> Iterator[tuple[str, tuple[object, str]]]:
    at = _past(text, 0, "{")
    if text[at : at + 1] == "}":
        _end(text, at + 1)
        return
    while True:
        # A number would be read as a text too.
        if text[at : at + 1] != '"':
            raise JSONDecodeError("Expecting a name in double quotes", text, at)
        name, at = _DECODER.raw_decode(text, at)
        at = _past(text, at, ":")
        try:
            value, end = _DECODER.raw_decode(text, at)
        except RecursionError:
            raise LineRefused(f"{name}: is nested more than {MAX_DEPTH} levels deep") from None
        yield name, (cast("object", value), text[at:end])
        at = _space(text, end)
        if text[at : at + 1] == "}":
            _end(text, at + 1)
            return
        at = _past(text, at, ",")


def _past(text: str, at: int, sign: str) -> int:
    at = _space(text, at)
    if text[at : at + 1] != sign:
        raise JSONDecodeError(f"Expecting {sign!r}", text, at)
    return _space(text, at + 1)


def _space(text: str, at: int) -> int:
    found = _WHITESPACE.match(text, at)
    return found.end() if found is not None else at


def _end(text: str, at: int) -> None:
    if _space(text, at) != len(text):
        raise JSONDecodeError("Extra data", text, at)


def _text(value: object, written: str) -> str:
    # A number is read as the text that it is written as; see _DECODER.
    if not isinstance(value, str) or value == written:
        raise ValueError("must be a text")
    return value


def _word(words: type[_Word], value: object, written: str) -> _Word:
    text = _text(value, written)
    try:
        return words(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is not one of {', '.join(words)}") from None


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _set_name(request: SendEventRequest, value: object, written: str) -> None:
    request.event.name = _text(value, written)


def _set_id(request: SendEventRequest, value: object, written: str) -> None:
    request.event.event_id = _text(value, written)


def _set_payload(request: SendEventRequest, _: object, written: str) -> None:
    request.event.payload.json = written.encode()


def _set_context(request: SendEventRequest, _: object, written: str) -> None:
    request.event.context.json = written.encode()


def _set_at(request: SendEventRequest, value: object, written: str) -> None:
    request.deliver_time.CopyFrom(to_timestamp(parse_time(_text(value, written))))


def _set_after(request: SendEventRequest, value: object, _: str) -> None:
    # A number is one of seconds, as the option takes it.
    if not isinstance(value, str):
        raise ValueError("must be a text, such as 5m, or a number of seconds")
    request.deliver_after.CopyFrom(to_duration(parse_duration(value)))


def _set_account(request: SendEventRequest, value: object, written: str) -> None:
    request.account_id = _text(value, written)


def _set_source(request: SendEventRequest, value: object, written: str) -> None:
    request.event.source = _text(value, written)


def _set_happened(request: SendEventRequest, value: object, written: str) -> None:
    request.event.event_time.CopyFrom(to_timestamp(parse_time(_text(value, written))))


def _set_payload_type(request: SendEventRequest, value: object, written: str) -> None:
    word = _word(PayloadTypeWord, value, written)
    request.event.payload_type = EventRecord.PayloadType.Value(f"PAYLOAD_TYPE_{word.name}")


def _set_priority(request: SendEventRequest, value: object, written: str) -> None:
    word = _word(PriorityWord, value, written)
    request.priority = Priority.Value(f"PRIORITY_{word.name}")


def _set_test(request: SendEventRequest, value: object, _: str) -> None:
    request.test = _truth(value)


def _set_schema_version(request: SendEventRequest, value: object, written: str) -> None:
    is_whole = value == written and _WHOLE_NUMBER.fullmatch(written) is not None
    if not is_whole or int(written) > MAX_SCHEMA_VERSION:
        raise ValueError(f"must be a whole number from 1 to {MAX_SCHEMA_VERSION}")
    request.schema_version = int(written)


_MEMBERS: Final[Mapping[str, Callable[[SendEventRequest, object, str], None]]] = {
    "name": _set_name,
    "id": _set_id,
    "payload": _set_payload,
    "context": _set_context,
    "at": _set_at,
    "after": _set_after,
    "account": _set_account,
    "source": _set_source,
    "happened": _set_happened,
    "payload_type": _set_payload_type,
    "priority": _set_priority,
    "schema_version": _set_schema_version,
    "test": _set_test,
}
