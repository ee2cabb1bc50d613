"""An event as it is published, whatever its layer."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from kongflow_common.clock import Clock
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.typed_data import EventData, TypedData
from kongflow_common.ids import id_text

__all__ = [
    "MAX_DATA_BYTES",
    "MAX_RESOURCE_ID_LENGTH",
    "Belonging",
    "PublishedEvent",
    "published_event",
]

MAX_DATA_BYTES: Final = 65_536
"""What an event may have to say: it is read by many, and kept for a month."""
MAX_RESOURCE_ID_LENGTH: Final = 512
# An escaped NUL, not an escaped backslash before these letters.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class Belonging:
    """What an event's resource belongs to; a resource above environments belongs to none."""

    environment_id: UUID | None = None
    project_id: UUID | None = None
    organization_id: UUID | None = None

    @property
    def scope_id(self) -> UUID | None:
        """The narrowest of them: who sees this one sees the event."""
        return self.environment_id or self.project_id or self.organization_id


# Not frozen, though nobody changes one: of a run among many two would cost a microsecond.
@dataclass(slots=True)
class PublishedEvent:
    """An event, its envelope filled in. `data` is JSON text; `replay_of` the original's id."""

    id: UUID
    type: str
    version: int
    timestamp: datetime
    resource_id: str
    belonging: Belonging
    data: bytes
    user_id: str = ""
    replay_of: UUID | None = None

    @property
    def milliseconds(self) -> int:
        """Its time, in milliseconds since 1970."""
        return int(self.timestamp.timestamp() * 1_000)

    def document(self) -> dict[str, object]:
        """The envelope by the names that it has on the wire."""
        document: dict[str, object] = {
            "id": id_text(self.id),
            "type": self.type,
            "version": self.version,
            "timestamp": self.milliseconds,
            "resourceId": self.resource_id,
            "data": orjson.Fragment(self.data),
        }
        if self.user_id:
            document["userId"] = self.user_id
        if self.replay_of is not None:
            document["replayOf"] = str(self.replay_of)
        return document


def published_event(
    type_: EventType,
    resource_id: str,
    data: TypedData | EventData,
    *,
    belonging: Belonging,
    clock: Clock,
    new_id: Callable[[], UUID],
    user_id: str = "",
    replay_of: UUID | None = None,
) -> PublishedEvent:
    """Fill in an envelope. Raises InvalidField for what cannot be published."""
    if not 0 < len(resource_id) <= MAX_RESOURCE_ID_LENGTH or "\x00" in resource_id:
        raise InvalidField("resource_id", f"has 1 to {MAX_RESOURCE_ID_LENGTH} characters, no NUL")
    dumped = orjson.dumps(type_.checked(data))
    if len(dumped) > MAX_DATA_BYTES:
        raise InvalidField("data", f"is {len(dumped)} bytes long; {MAX_DATA_BYTES} are allowed")
    # The plain search goes first: it takes a twentieth of the time, and nearly always says no.
    if b"\\u0000" in dumped and _NUL.search(dumped):
        # jsonb holds none: the log would refuse it, again and again.
        raise InvalidField("data", "has a NUL in a text")
    return PublishedEvent(
        id=new_id(),
        type=type_.name,
        version=type_.version,
        timestamp=clock.now(),
        resource_id=resource_id,
        belonging=belonging,
        data=dumped,
        user_id=user_id,
        replay_of=replay_of,
    )
