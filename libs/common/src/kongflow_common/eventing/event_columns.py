"""Many published events at once, as columns: what comes to the log is read without an object each.

Each part is checked for all events together. Where that finds anything, the events are read one
by one, which says what is wrong, and where.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.envelope import (
    MAX_RESOURCE_ID_LENGTH,
    Belonging,
    PublishedEvent,
)
from kongflow_common.eventing.event_messages import MAX_VERSION, read_message
from kongflow_common.eventing.event_type import InvalidEventType, check_type_name
from kongflow_common.ids import parse_id
from kongflow_common.payload import are_plain
from kongflow_common.rpc.field_parsing import MAX_NAME_LENGTH
from kongflow_common.rpc.timestamps import is_within_range

__all__ = ["EventColumns", "columns_of", "read_columns"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ID_LENGTH: Final = 36
_HYPHENS: Final = (8, 13, 18, 23)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Published events, the same number of everything. Ids have 16 bytes, `data` are JSON text.

    `times` are microseconds since 1970.
    """

    ids: Sequence[bytes]
    types: Sequence[str]
    versions: Sequence[int]
    times: Sequence[int]
    resource_ids: Sequence[str]
    user_ids: Sequence[str]
    data: Sequence[bytes]
    organization_ids: Sequence[bytes | None]
    project_ids: Sequence[bytes | None]
    environment_ids: Sequence[bytes | None]
    replays_of: Sequence[bytes | None]

    def columns(self) -> tuple[Sequence[Any], ...]:
        """All of them, in the order in which they are declared."""
        return _COLUMNS(self)

    def once(self) -> "EventColumns":
        """Each event once."""
        places = {id_: place for place, id_ in enumerate(self.ids)}
        if len(places) == len(self.ids):
            return self
        return EventColumns(*([column[p] for p in places.values()] for column in self.columns()))

    def event(self, place: int) -> PublishedEvent:
        """One of them."""
        return PublishedEvent(
            id=UUID(bytes=self.ids[place]),
            type=self.types[place],
            version=self.versions[place],
            timestamp=_EPOCH + timedelta(microseconds=self.times[place]),
            resource_id=self.resource_ids[place],
            belonging=Belonging(
                _uuid(self.environment_ids[place]),
                _uuid(self.project_ids[place]),
                _uuid(self.organization_ids[place]),
            ),
            data=self.data[place],
            user_id=self.user_ids[place],
            replay_of=_uuid(self.replays_of[place]),
        )


_COLUMNS: Final = attrgetter(*EventColumns.__slots__)


def columns_of(events: Sequence[PublishedEvent]) -> EventColumns:
    """The columns of events."""
    columns: list[list[Any]] = [list(column) for column in zip(*map(_row, events), strict=True)]
    return EventColumns(*(columns or [[] for _ in EventColumns.__slots__]))


def read_columns(events: Sequence[pb.PublishedEvent]) -> EventColumns:
    """Read events. Raises InvalidField, which names the place of the event."""
    # As a list: a repeated field looks for the object of each of its messages again and again.
    messages = list(events)
    columns = _read_together(messages)
    return columns if columns is not None else _read_each(messages)


def _read_together(events: Sequence[pb.PublishedEvent]) -> EventColumns | None:
    """The events, when none of them needs a closer look."""
    if not events:
        return None
    versions = [event.version for event in events]
    resource_ids = [event.resource_id for event in events]
    user_ids = [event.user_id for event in events]
    data = [event.data or b"{}" for event in events]
    fit = (
        min(versions) >= 1
        and max(versions) <= MAX_VERSION
        and all(resource_ids)
        and _are_short(resource_ids, MAX_RESOURCE_ID_LENGTH)
        and _are_short(user_ids, MAX_NAME_LENGTH)
        and are_plain(data)
    )
    times = _times(events)
    ids = _ids([event.id for event in events])
    if not fit or times is None or ids is None:
        return None
    try:
        return EventColumns(
            ids=ids,
            types=_types([event.type for event in events]),
            versions=versions,
            times=times,
            resource_ids=resource_ids,
            user_ids=user_ids,
            data=data,
            organization_ids=_shared_ids([event.organization_id for event in events]),
            project_ids=_shared_ids([event.project_id for event in events]),
            environment_ids=_shared_ids([event.environment_id for event in events]),
            replays_of=_shared_ids([event.replay_of for event in events]),
        )
    except (InvalidEventType, InvalidField):
        return None


def _are_short(texts: Sequence[str], max_length: int) -> bool:
    return max(map(len, texts)) <= max_length and "\x00" not in "".join(texts)


def _times(events: Sequence[pb.PublishedEvent]) -> list[int] | None:
    times = []
    for event in events:
        time = event.time
        seconds, nanos = time.seconds, time.nanos
        # The very first second may be a time that was left out.
        if not seconds or not is_within_range(seconds, nanos):
            return None
        times.append(seconds * 1_000_000 + nanos // 1_000)
    return times


def _ids(texts: Sequence[str]) -> list[bytes] | None:
    """The ids; None unless all are UUIDs in their usual form."""
    if set(map(len, texts)) != {_ID_LENGTH}:
        return None
    together = "".join(texts)
    hyphens = "-" * len(texts)
    if any(together[place::_ID_LENGTH] != hyphens for place in _HYPHENS):
        return None
    try:
        packed = bytes.fromhex(together.replace("-", ""))
    except ValueError:
        return None
    # Spaces are passed over, and a hyphen too many is gone.
    if len(packed) != 16 * len(texts):
        return None
    return [packed[start : start + 16] for start in range(0, len(packed), 16)]


def _types(names: Sequence[str]) -> list[str]:
    """The types; of each one object, which has its column written quickly."""
    checked = {name: check_type_name(name) for name in set(names)}
    return [checked[name] for name in names]


def _shared_ids(texts: Sequence[str]) -> list[bytes | None]:
    """Ids that many events have in common, and that may be left out."""
    ids = {text: parse_id(text, "id").bytes if text else None for text in set(texts)}
    return [ids[text] for text in texts]


def _read_each(events: Sequence[pb.PublishedEvent]) -> EventColumns:
    read = []
    for index, event in enumerate(events):
        try:
            read.append(read_message(event))
        except InvalidField as error:
            raise error.within(f"events[{index}]") from None
    return columns_of(read)


def _row(event: PublishedEvent) -> tuple[object, ...]:
    belonging = event.belonging
    return (
        event.id.bytes,
        event.type,
        event.version,
        (event.timestamp - _EPOCH) // _MICROSECOND,
        event.resource_id,
        event.user_id,
        event.data,
        _packed(belonging.organization_id),
        _packed(belonging.project_id),
        _packed(belonging.environment_id),
        _packed(event.replay_of),
    )


def _packed(id_: UUID | None) -> bytes | None:
    return id_.bytes if id_ is not None else None


def _uuid(packed: bytes | None) -> UUID | None:
    return UUID(bytes=packed) if packed is not None else None
