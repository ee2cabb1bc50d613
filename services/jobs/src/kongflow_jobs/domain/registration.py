"""A version of a job that is to be registered."""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import orjson

from kongflow_common.payload import MAX_PAYLOAD_BYTES, JsonDocument, parse_json
from kongflow_jobs.domain.job import JobPlace, TriggerKind
from kongflow_protocol.documents import InvalidDocument, Issue, read_value
from kongflow_protocol.jobs import JobMetadata

__all__ = ["Registration", "read_registration"]

_MAX_METADATA_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Registration:
    """What a program says of a job, and where and when it said so.

    `trigger`, `event_specification` (without its examples), `properties` and `trigger_help` are
    the program's own documents. `generation` grows with each index.
    """

    place: JobPlace
    endpoint_id: UUID
    generation: int
    metadata: JobMetadata
    trigger: JsonDocument
    event_specification: JsonDocument
    properties: JsonDocument | None
    trigger_help: JsonDocument | None
    example_payloads: tuple[JsonDocument, ...]

    @property
    def trigger_kind(self) -> TriggerKind:
        """What starts it."""
        return TriggerKind(self.metadata.trigger.type)


def read_registration(
    place: JobPlace, endpoint_id: UUID, generation: int, metadata: bytes
) -> Registration:
    """Read the description of a job. Raises InvalidDocument, or InvalidField for its size."""
    document = parse_json(metadata, field="metadata", max_bytes=_MAX_METADATA_BYTES).load()
    job = read_value(JobMetadata, document)
    raw = cast("dict[str, Any]", document)
    trigger, event = raw["trigger"], dict(raw["event"])
    examples = event.pop("examples", None) or []
    slugs = [example.id for example in job.event.examples]
    if len(set(slugs)) != len(slugs):
        raise InvalidDocument([Issue("event.examples", "two examples have the same id")])
    if issues := _too_large_filters(trigger):
        raise InvalidDocument(issues)
    return Registration(
        place=place,
        endpoint_id=endpoint_id,
        generation=generation,
        metadata=job,
        trigger=_dump(trigger),
        event_specification=_dump(event),
        properties=_optional(trigger.get("properties")),
        trigger_help=_optional(trigger.get("help")),
        example_payloads=tuple(_dump(example.get("payload")) for example in examples),
    )


def _too_large_filters(trigger: dict[str, Any]) -> list[Issue]:
    """What the events service would refuse once the version is stored already."""
    rule: dict[str, Any] = trigger.get("rule") or {}
    return [
        Issue(
            f"trigger.rule.{name}",
            f"is longer than {MAX_PAYLOAD_BYTES} bytes, as much as a filter may have",
        )
        for name in ("payload", "context")
        if rule.get(name) and len(_dump(rule[name]).text) > MAX_PAYLOAD_BYTES
    ]


def _dump(value: object) -> JsonDocument:
    return JsonDocument(orjson.dumps(value))


def _optional(value: object) -> JsonDocument | None:
    return None if value is None else _dump(value)
