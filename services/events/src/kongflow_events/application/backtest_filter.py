"""Asks filters about events that came in: what would a dispatcher have taken?"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from kongflow_events.application.ports import EventReader, Selection
from kongflow_events.application.try_filter import TriedFilters
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.event_record import EventContent, EventRecord
from kongflow_filters import EventMatcher

__all__ = ["Backtest", "BacktestFilter"]

_RECORDS_AT_ONCE: Final = 250
# Contents may be large: no more of them are held at a time.
_CONTENTS_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True)
class Backtest:
    """How many events were looked at, and which of them the filters hold for, newest first."""

    examined: int
    matched: Sequence[UUID]
    oldest: datetime | None
    out_of_time: bool
    warnings: Sequence[str]


class BacktestFilter:
    """Matches filters with the newest events of a selection. Reads only.

    Ends early, and says so, when the time is nearly over.
    """

    def __init__(
        self, events: EventReader, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._events = events
        self._monotonic = monotonic

    async def __call__(
        self, filters: TriedFilters, selection: Selection, *, seconds: float
    ) -> Backtest:
        """What the filters would have taken of the selected events. Raises InvalidField."""
        until = self._monotonic() + seconds
        warnings = filters.check()
        payload_filter, context_filter = filters.payload_filter, filters.context_filter
        matcher = EventMatcher(
            payload_filter.load() if payload_filter is not None else None,
            context_filter.load() if context_filter is not None else None,
        )
        examined, oldest, out_of_time = 0, None, False
        matched: list[UUID] = []
        async for record, content in self._newest(selection):
            # One at least, so that whoever asks again with more time sees that it is needed.
            if examined and self._monotonic() > until:
                out_of_time = True
                break
            if matcher.matches(MatchableEvent(record.payload_type, content).whole):
                matched.append(record.id)
            examined, oldest = examined + 1, record.created_at
            # Payloads may be large; other calls are answered between two of them.
            await asyncio.sleep(0)
        return Backtest(examined, matched, oldest, out_of_time, warnings)

    async def _newest(
        self, selection: Selection
    ) -> AsyncIterator[tuple[EventRecord, EventContent]]:
        left, after = selection.limit, selection.after
        while left > 0:
            wanted = min(left, _RECORDS_AT_ONCE)
            records = await self._events.list_events(replace(selection, after=after, limit=wanted))
            for start in range(0, len(records), _CONTENTS_AT_ONCE):
                part = records[start : start + _CONTENTS_AT_ONCE]
                contents = await self._events.read_contents([record.id for record in part])
                for record in part:
                    # One that is missing was deleted since the list was read.
                    if record.id in contents:
                        yield record, contents[record.id]
            if len(records) < wanted:
                return
            left, after = left - wanted, records[-1].id
