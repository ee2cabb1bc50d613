"""What an endpoint answers to EXECUTE_JOB."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import orjson
from pydantic import Field, JsonValue

from kongflow_protocol.documents import Document, InvalidDocument, Issue, read_value

__all__ = [
    "ErrorAnswer",
    "ExecutionAnswer",
    "InvalidPayloadAnswer",
    "LaterAnswer",
    "SuccessAnswer",
    "UnresolvedAuthAnswer",
    "read_execution_answer",
]


# JavaScript writes halves of characters as escapes, for which no character stands, and U+0000
# cannot be stored. Any other escape is passed over as a whole: after an escaped backslash comes
# text.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<no_character>u[dD][89a-fA-F][0-9a-fA-F]{2}|u0000)|.)",
    re.DOTALL,
)


class ErrorDetails(Document):
    """An error as JavaScript has it."""

    message: str
    name: str | None = None
    stack: str | None = None


class _Success(Document):
    status: Literal["SUCCESS"]
    output: JsonValue = None


class _Error(Document):
    status: Literal["ERROR"]
    error: ErrorDetails


class _InvalidPayload(Document):
    status: Literal["INVALID_PAYLOAD"]
    errors: list[JsonValue]


class _UnresolvedAuth(Document):
    status: Literal["UNRESOLVED_AUTH_ERROR"]
    issues: dict[str, JsonValue]


class _Later(Document):
    status: Literal[
        "RESUME_WITH_TASK",
        "RETRY_WITH_TASK",
        "RESUME_WITH_PARALLEL_TASK",
        "YIELD_EXECUTION",
        "AUTO_YIELD_EXECUTION",
        "AUTO_YIELD_EXECUTION_WITH_COMPLETED_TASK",
        "CANCELED",
    ]


_AnyAnswer = _Success | _Error | _InvalidPayload | _UnresolvedAuth | _Later


class _Answer(Document):
    answer: Annotated[_AnyAnswer, Field(discriminator="status")]


@dataclass(frozen=True, slots=True)
class SuccessAnswer:
    """The job ended well; `output` is JSON text, None when it returned `undefined`."""

    output: bytes | None


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The job threw; `error` is the error object, JSON text."""

    error: bytes
    message: str


@dataclass(frozen=True, slots=True)
class InvalidPayloadAnswer:
    """The payload is not what the job takes; `errors` is a list, JSON text."""

    errors: bytes


@dataclass(frozen=True, slots=True)
class UnresolvedAuthAnswer:
    """An integration could not authenticate; `issues` is an object, JSON text."""

    issues: bytes


@dataclass(frozen=True, slots=True)
class LaterAnswer:
    """The job is to be executed again; `status` says after what."""

    status: str


ExecutionAnswer = (
    SuccessAnswer | ErrorAnswer | InvalidPayloadAnswer | UnresolvedAuthAnswer | LaterAnswer
)


def read_execution_answer(body: bytes) -> ExecutionAnswer:
    """Read the body of an answer with the status 200. Raises InvalidDocument.

    What the program returned is handed on as it was sent, whatever it is. Of an error what cannot
    be stored is replaced: nobody wants to lose its message to a character in it.
    """
    raw, answer = _read(body)
    if isinstance(answer, _Error) and b"\\u0000" in body:
        raw, answer = _read(_mended(body))
    members = cast("dict[str, Any]", raw)
    match answer:
        case _Success():
            given = "output" in members
            return SuccessAnswer(orjson.dumps(members["output"]) if given else None)
        case _Error():
            return ErrorAnswer(orjson.dumps(members["error"]), answer.error.message)
        case _InvalidPayload():
            return InvalidPayloadAnswer(orjson.dumps(members["errors"]))
        case _UnresolvedAuth():
            return UnresolvedAuthAnswer(orjson.dumps(members["issues"]))
        case _Later():
            return LaterAnswer(answer.status)


def _read(body: bytes) -> tuple[object, _AnyAnswer]:
    """The document, and what it says. Raises InvalidDocument."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        issue = InvalidDocument([Issue("", f"is not JSON: {error}")])
        try:
            raw = orjson.loads(_mended(body))
        except orjson.JSONDecodeError:
            raise issue from None
        if not isinstance(raw, dict) or cast("dict[str, Any]", raw).get("status") != "ERROR":
            raise issue from None
    return raw, read_value(_Answer, {"answer": raw}).answer


def _mended(body: bytes) -> bytes:
    """The text with a replacement character for each escape that is no character."""
    return _ESCAPES.sub(lambda found: b"\\ufffd" if found["no_character"] else found.group(), body)
