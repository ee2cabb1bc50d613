"""How documents of the protocol are read: strictly, and with an issue for all that is wrong."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from kongflow_filters import InvalidFilter, parse_filter

__all__ = [
    "Document",
    "Filter",
    "Identifier",
    "InvalidDocument",
    "Issue",
    "Many",
    "Members",
    "Names",
    "nul_issue",
    "read",
    "read_value",
]

Model = TypeVar("Model", bound=BaseModel)

_MAX_SHOWN_LENGTH = 300

_MAX_NAME_LENGTH = 512
_MAX_NAMES = 100
_MAX_MEMBERS = 100


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong at a place; `path` is e.g. `trigger.rule.event`, empty for the whole."""

    path: str
    message: str


class InvalidDocument(ValueError):
    """A document is not what the protocol says; `issues` is never empty."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        first = issues[0]
        super().__init__(f"{first.path}: {first.message}" if first.path else first.message)
        self.issues = tuple(issues)


class Document(BaseModel):
    """A JSON object: camel case on the wire, unknown keys passed over, no type coerced.

    A key that may be left out has None for its default; JSON's null is refused all the same, as
    the SDK's own schemas do, unless the field says otherwise.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


def _valid_filter(value: dict[str, Any]) -> dict[str, Any]:
    try:
        parse_filter(value)
    except InvalidFilter as error:
        raise ValueError(f"{error.path}: {error.reason}" if error.path else error.reason) from None
    return value


Filter = Annotated[dict[str, JsonValue], AfterValidator(_valid_filter)]
"""A filter of the original's language."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_NAME_LENGTH)]
"""A word that something is known by."""

Element = TypeVar("Element")

# Of what is wrong with a list its first element is named: a program may get a million wrong.
Many = Annotated[list[Element], Field(fail_fast=True)]
"""A list."""


def _few_members(value: object) -> object:
    if isinstance(value, dict) and len(cast("dict[object, object]", value)) > _MAX_MEMBERS:
        raise ValueError(f"has more than {_MAX_MEMBERS} members")
    return value


Members = Annotated[dict[Identifier, Element], BeforeValidator(_few_members)]
"""An object whose keys are the program's own."""

Names = Identifier | Annotated[Many[Identifier], Field(min_length=1, max_length=_MAX_NAMES)]
"""One name or several."""


def read(model: type[Model], text: bytes) -> Model:
    """Read a JSON document; raises InvalidDocument."""
    try:
        # Not pydantic's own reader: one parser decides everywhere what JSON is.
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidDocument([Issue("", f"is not JSON: {error}")]) from None
    return read_value(model, value)


def read_value(model: type[Model], value: object) -> Model:
    """Read a JSON value; raises InvalidDocument."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidDocument(_issues_of(error, value)) from None


def _issues_of(error: ValidationError, value: object) -> list[Issue]:
    """All that a model found wrong, without the values.

    Of a union each alternative has something to say: what concerns the same place becomes one
    issue, and the alternative that was read deepest has the last word.
    """
    messages: dict[str, list[str]] = {}
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        path = _path(each["loc"], value, missing=each["type"] == "missing")
        messages.setdefault(path, []).append(each["msg"].removeprefix("Value error, "))
    paths = sorted(messages)

    def leads_on(path: str) -> bool:
        for below in (f"{path}.", f"{path}["):
            next_one = bisect_left(paths, below)
            if next_one < len(paths) and paths[next_one].startswith(below):
                return True
        return False

    return [
        Issue(_shown(path), _shown(" or ".join(dict.fromkeys(found))))
        for path, found in messages.items()
        if not leads_on(path)
    ]


def nul_issue(value: object) -> Issue | None:
    """Where a JSON value holds the character NUL, which cannot be stored."""
    rest: list[tuple[_Steps, object]] = [((), value)]
    while rest:
        steps, each = rest.pop()
        if isinstance(each, str) and "\x00" in each:
            return Issue(_shown(_written(steps)), "holds the character NUL, which cannot be stored")
        if isinstance(each, dict):
            for name, member in cast("dict[str, object]", each).items():
                rest += [((steps, name), member), ((steps, name), name)]
        elif isinstance(each, list):
            members = cast("list[object]", each)
            rest += [((steps, place), member) for place, member in enumerate(members)]
    return None


# The steps to a value, the last one outermost: all that stands below a step shares it.
_Steps = tuple["_Steps", int | str] | tuple[()]


def _written(steps: _Steps) -> str:
    path = ""
    while steps:
        steps, step = steps
        written = f"[{step}]" if isinstance(step, int) else f".{step}"
        path = written + path
    return path.removeprefix(".")


def _shown(text: str) -> str:
    """As much of a program's words as people are shown."""
    cut = text if len(text) <= _MAX_SHOWN_LENGTH else f"{text[:_MAX_SHOWN_LENGTH]}…"
    return cut.replace("\x00", "\ufffd")


def _path(location: Sequence[int | str], value: object, *, missing: bool) -> str:
    """The steps that lead into the value: the model's own also name the alternatives of unions."""
    path = ""
    for place, step in enumerate(location):
        if isinstance(step, int):
            if isinstance(value, list) and step < len(value):
                value = value[step]
                path += f"[{step}]"
        elif isinstance(value, dict) and (
            step in value or (missing and place == len(location) - 1)
        ):
            value = value.get(step)
            path += f".{step}" if path else step
    return path
