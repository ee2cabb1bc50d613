"""Schemas of events, and what is known of those of an environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Protocol
from uuid import UUID

from kongflow_common.errors import FieldViolation, InvalidFields
from kongflow_common.payload import JsonDocument
from kongflow_events.domain.schema_check import SchemaCheck

__all__ = [
    "Compatibility",
    "EnvironmentSchemas",
    "EventSchema",
    "KnownSchema",
    "PayloadValidator",
    "SchemaMode",
    "SchemaRefused",
    "schema_uri",
]

_MOST_ERRORS: Final = 10


class SchemaMode(Enum):
    """What becomes of an event that does not fit."""

    REJECT = "REJECT"
    WARN = "WARN"
    OFF = "OFF"


class Compatibility(Enum):
    """How the schemas of two versions stand to each other."""

    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"
    FULL = "FULL"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class EventSchema:
    """A version of the schema of a name."""

    id: UUID
    environment_id: UUID
    event_name: str
    version: int
    definition: JsonDocument
    mode: SchemaMode
    created_at: datetime
    updated_at: datetime


class SchemaRefused(InvalidFields):
    """The payload of an event does not fit its schema."""


class PayloadValidator(Protocol):
    """A compiled schema."""

    def violations(self, payload: object, *, at_most: int) -> Sequence[FieldViolation]:
        """What of a payload does not fit, with its place: `payload.customer.age`."""
        ...


def schema_uri(schema: Mapping[str, Any]) -> str | None:
    """What a CloudEvent's `dataschema` names a schema by."""
    uri = schema.get("$id", schema.get("id"))
    return uri if isinstance(uri, str) else None


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """A version as it checks events."""

    version: int
    mode: SchemaMode
    uri: str | None
    validator: PayloadValidator

    def check(self, payload: JsonDocument) -> SchemaCheck | None:
        """What does not fit and is stored all the same. Raises SchemaRefused for what is not."""
        if self.mode is SchemaMode.OFF:
            return None
        violations = self.validator.violations(payload.load(), at_most=_MOST_ERRORS)
        if not violations:
            return None
        if self.mode is SchemaMode.REJECT:
            raise SchemaRefused(
                [
                    FieldViolation(
                        f"event.{each.field}",
                        f"{each.description} (schema version {self.version})",
                    )
                    for each in violations
                ]
            )
        return SchemaCheck(
            self.version, tuple(f"{each.field}: {each.description}" for each in violations)
        )


@dataclass(frozen=True, slots=True)
class EnvironmentSchemas:
    """The schemas of an environment as of a version; those of a name are newest first."""

    version: int = 0
    by_name: Mapping[str, Sequence[KnownSchema]] = field(default_factory=dict)

    def check(
        self, name: str, payload: JsonDocument, *, version: int | None, uri: str | None
    ) -> SchemaCheck | None:
        """Check an event with the version that its sender names, or the newest.

        A `uri` that no version has is about something else. Raises SchemaRefused.
        """
        known = self.by_name.get(name, ())
        if version is not None:
            named = [each for each in known if each.version == version]
            if not named:
                raise SchemaRefused(
                    [
                        FieldViolation(
                            "schema_version",
                            f"there is no version {version} of a schema for {name}",
                        )
                    ]
                )
            return named[0].check(payload)
        if not known:
            return None
        chosen = known[0]
        if uri is not None:
            chosen = next((each for each in known if each.uri == uri), chosen)
        return chosen.check(payload)
