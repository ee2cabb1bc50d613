"""JSON Schemas, compiled."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from kongflow_common.errors import FieldViolation, InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_events.domain.schema_shape import cost_of
from kongflow_events.domain.schema_text_work import TextWork
from kongflow_filters import render_path

__all__ = ["JsonSchemaCompiler", "LazyValidator"]

_MOST_CHARACTERS: Final = 300
_PATTERN_BYTES: Final = 1024 * 1024
# What a schema asks, times the values that there are: a second or two, in which the process does
# nothing else. To find what is wrong takes longer than to find that something is.
_MOST_CHECKS: Final = 20_000_000
_MOST_CHECKS_TO_SAY: Final = 1_000_000
# A payload of 512 KiB has no more.
_MOST_VALUES: Final = 262_144
# Places of patterns at bytes of texts, of 5 to 15 ns. Beyond the second it is not said what is
# wrong: all that a text does not fit is looked for again, and again for the sentence about it.
_MOST_TEXT_WORK: Final = 20_000_000
_MOST_TEXT_WORK_TO_SAY: Final = 5_000_000


class JsonSchemaCompiler:
    """Implements SchemaCompiler.

    Patterns run in linear time and therefore know no look-around and no back-references; nothing
    is ever fetched.
    """

    def compile(self, schema: Mapping[str, Any], field: str) -> "JsonSchemaValidator":
        try:
            return _compile(schema)
        except jsonschema_rs.ValidationError as error:
            place = _path([*field.split("."), *error.instance_path])
            raise InvalidField(place, _short(error.message)) from None
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise InvalidField(field, _short(str(error).split("\n")[0])) from None


class JsonSchemaValidator:
    """Implements PayloadValidator."""

    def __init__(self, validator: jsonschema_rs.Validator, cost: int, text_work: TextWork) -> None:
        self._validator = validator
        self._text_work = text_work
        self._most_values = _MOST_CHECKS // cost
        self._most_values_to_say = _MOST_CHECKS_TO_SAY // cost

    def violations(self, payload: object, *, at_most: int) -> Sequence[FieldViolation]:
        if self._most_values < _MOST_VALUES and _has_more_than(self._most_values, payload):
            reason = f"holds more than {self._most_values} values, too many for this schema"
            return [FieldViolation("payload", reason)]
        text_work = self._text_work.of(payload, at_most=_MOST_TEXT_WORK)
        if text_work > _MOST_TEXT_WORK:
            reason = "holds too much text for the patterns and formats of this schema"
            return [FieldViolation("payload", reason)]
        if self._validator.is_valid(payload):
            return ()
        if text_work > _MOST_TEXT_WORK_TO_SAY or _has_more_than(self._most_values_to_say, payload):
            return [FieldViolation("payload", "does not fit, and is too large to say where")]
        return [
            FieldViolation(_path(["payload", *error.instance_path]), _short(error.message))
            for error in islice(self._validator.iter_errors(payload), at_most)
        ]


class LazyValidator:
    """Implements PayloadValidator: compiles a schema when it is first asked."""

    def __init__(self, definition: JsonDocument) -> None:
        self._definition: JsonDocument | None = definition
        self._validator: JsonSchemaValidator | None = None

    def violations(self, payload: object, *, at_most: int) -> Sequence[FieldViolation]:
        if self._definition is not None:
            schema: Any = self._definition.load()
            self._definition = None
            try:
                self._validator = _compile(schema)
            except (ValueError, jsonschema_rs.ReferencingError):
                # It was registered with another version of the library.
                self._validator = None
        if self._validator is None:
            return [FieldViolation("payload", "the schema does not compile any more")]
        return self._validator.violations(payload, at_most=at_most)


def _compile(schema: Mapping[str, Any]) -> JsonSchemaValidator:
    return JsonSchemaValidator(
        jsonschema_rs.validator_for(
            dict(schema),
            offline=True,
            validate_formats=True,
            # What is refused goes to whoever sent it, and no further: the value is left out.
            mask="the value",
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES
            ),
        ),
        cost_of(schema),
        TextWork(schema),
    )


def _has_more_than(most: int, payload: object) -> bool:
    count, waiting = 0, [payload]
    while waiting and count <= most:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return count > most


def _path(parts: Sequence[str | int]) -> str:
    return _short(render_path(parts))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
