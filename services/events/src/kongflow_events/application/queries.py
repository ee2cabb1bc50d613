"""What is stored, as callers may see it: each within the caller's environment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar
from uuid import UUID

from kongflow_events.application.ports import (
    DispatcherReader,
    EventKey,
    EventReader,
    Selection,
)
from kongflow_events.domain.errors import DispatcherNotFound, EventNotFound
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_record import EventContent, EventRecord

__all__ = ["DispatcherQueries", "EventQueries", "Page", "WholeEvent"]

Item = TypeVar("Item")

# An answer is at most 4 MiB; what surrounds the counted texts has room in the rest.
_MAX_PAGE_BYTES: Final = 3 * 1024 * 1024
_ITEM_BYTES: Final = 300
# Rows whose documents may be large are read a few at a time, and no more than fit.
_READ_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, in its order; `complete` when nothing follows them.

    The list goes on after `end` where that is known, else after the last item.
    """

    items: Sequence[Item]
    complete: bool
    end: UUID | None = None


@dataclass(frozen=True, slots=True)
class WholeEvent:
    """A record; its content where that was asked for."""

    record: EventRecord
    content: EventContent | None


class EventQueries:
    """Gets and lists event records."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    async def get(self, environment_id: UUID, key: EventKey) -> WholeEvent:
        """The event with its content. Raises EventNotFound."""
        found = await self._reader.find_event(environment_id, key)
        if found is None:
            raise EventNotFound(key)
        record, content = found
        return WholeEvent(record, content)

    async def list(self, selection: Selection, *, with_content: bool) -> Page[WholeEvent]:
        """At most `selection.limit` events.

        Fewer where they would not fit into an answer, or where others are long to find.
        """
        found = await self._reader.page_events(selection)
        if with_content:
            page = await self._with_contents(found.records)
        else:
            page = _fitting([WholeEvent(record, None) for record in found.records], _event_bytes)
        if not page.complete:
            return page
        return Page(page.items, complete=found.end is None, end=found.end)

    async def _with_contents(self, records: Sequence[EventRecord]) -> Page[WholeEvent]:
        events: list[WholeEvent] = []
        for start in range(0, len(records), _READ_AT_ONCE):
            part = records[start : start + _READ_AT_ONCE]
            contents = await self._reader.read_contents([record.id for record in part])
            # One that is missing was deleted since the list was read.
            events.extend(
                WholeEvent(record, contents[record.id]) for record in part if record.id in contents
            )
            page = _fitting(events, _event_bytes)
            if not page.complete:
                return page
        return Page(events, complete=True)


class DispatcherQueries:
    """Gets and lists dispatchers."""

    def __init__(self, reader: DispatcherReader) -> None:
        self._reader = reader

    async def get(self, environment_id: UUID, key: EventKey) -> EventDispatcher:
        """The dispatcher. Raises DispatcherNotFound."""
        found = await self._reader.find_dispatcher(environment_id, key)
        if found is None:
            raise DispatcherNotFound(key)
        return found

    async def list(self, selection: Selection) -> Page[EventDispatcher]:
        """At most `selection.limit` dispatchers; fewer where they would not fit into an answer."""
        dispatchers: list[EventDispatcher] = []
        after = selection.after
        while True:
            wanted = min(_READ_AT_ONCE, selection.limit + 1 - len(dispatchers))
            part = await self._reader.list_dispatchers(
                replace(selection, after=after, limit=wanted)
            )
            dispatchers.extend(part)
            page = _fitting(dispatchers[: selection.limit], _dispatcher_bytes)
            if not page.complete or len(dispatchers) > selection.limit:
                return Page(page.items, complete=False)
            if len(part) < wanted:
                return page
            after = part[-1].id


def _fitting(items: Sequence[Item], size_of: Callable[[Item], int]) -> Page[Item]:
    """The first items that fit into an answer: one at least."""
    size = 0
    for index, item in enumerate(items):
        size += size_of(item)
        if size > _MAX_PAGE_BYTES and index > 0:
            return Page(items[:index], complete=False)
    return Page(items, complete=True)


def _event_bytes(event: WholeEvent) -> int:
    record = event.record
    texts = (record.event_id, record.name, record.source, record.account_id or "")
    size = _ITEM_BYTES + _text_bytes(texts)
    if event.content is not None:
        size += len(event.content.payload.text) + len(event.content.context.text)
    return size


def _dispatcher_bytes(dispatcher: EventDispatcher) -> int:
    specification = dispatcher.specification
    texts = (
        dispatcher.dispatchable_id,
        specification.source,
        dispatcher.account_id or "",
        *specification.event_names,
    )
    documents = (
        specification.payload_filter,
        specification.context_filter,
        specification.dispatchable,
    )
    return (
        _ITEM_BYTES
        + _text_bytes(texts)
        + sum(len(document.text) for document in documents if document is not None)
    )


def _text_bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
