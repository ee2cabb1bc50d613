"""Asks filters about events that came in: what would a dispatcher have taken?"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from kongflow_events.application.ports import EventReader, Selection
from kongflow_events.application.try_filter import TriedFilters
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.event_record import EventContent, EventRecord
from kongflow_events.domain.id_times import time_of
from kongflow_filters import EventMatcher

__all__ = ["Backtest", "BacktestFilter"]

_RECORDS_AT_ONCE: Final = 250
# Contents may be large: no more of them are held at a time.
_CONTENTS_AT_ONCE: Final = 25


@dataclass(slots=True)
class Backtest:
    """How many events were looked at, and which of them the filters hold for, newest first.

    `out_of_time_at` is set where the time was over: what came in before was not looked for.
    """

    warnings: Sequence[str]
    examined: int = 0
    matched: list[UUID] = field(default_factory=list)
    oldest: datetime | None = None
    out_of_time_at: datetime | None = None


class BacktestFilter:
    """Matches filters with the newest events of a selection. Reads only.

    Ends early, and says so, when the time is nearly over: while it matches, or while it looks for
    events where a selection has few.
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
        backtest = Backtest(filters.check())
        payload_filter, context_filter = filters.payload_filter, filters.context_filter
        matcher = EventMatcher(
            payload_filter.load() if payload_filter is not None else None,
            context_filter.load() if context_filter is not None else None,
        )
        left, after = selection.limit, selection.after
        while left > 0:
            wanted = min(left, _RECORDS_AT_ONCE)
            found = await self._events.page_events(replace(selection, after=after, limit=wanted))
            async for record, content in self._with_contents(found.records):
                # One at least, so that whoever asks again with more time sees that it is needed.
                if backtest.examined and self._monotonic() > until:
                    backtest.out_of_time_at = backtest.oldest
                    return backtest
                if matcher.matches(MatchableEvent(record.payload_type, content).whole):
                    backtest.matched.append(record.id)
                backtest.examined, backtest.oldest = backtest.examined + 1, record.created_at
                # Payloads may be large; other calls are answered between two of them.
                await asyncio.sleep(0)
            left, after = left - len(found.records), found.end
            if after is None:
                break
            if left > 0 and self._monotonic() > until:
                backtest.out_of_time_at = time_of(after)
                break
        return backtest

    async def _with_contents(
        self, records: Sequence[EventRecord]
    ) -> AsyncIterator[tuple[EventRecord, EventContent]]:
        for start in range(0, len(records), _CONTENTS_AT_ONCE):
            part = records[start : start + _CONTENTS_AT_ONCE]
            contents = await self._events.read_contents([record.id for record in part])
            for record in part:
                # One that is missing was deleted since the list was read.
                if record.id in contents:
                    yield record, contents[record.id]
