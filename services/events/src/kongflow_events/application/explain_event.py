"""Says what the dispatchers of an environment make of a stored event."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kongflow_events.application.ports import (
    DispatcherReader,
    EventKey,
    EventReader,
    Selection,
)
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.errors import EventNotFound
from kongflow_events.domain.event_record import EventRecord
from kongflow_events.domain.match_explanation import DispatcherVerdict, judge

__all__ = ["ExplainEvent", "ExplainedEvent"]

# Rows whose filters may be large are read a few at a time.
_READ_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """The event, and the verdicts of a page of dispatchers; `complete` when none follow."""

    record: EventRecord
    verdicts: Sequence[DispatcherVerdict]
    complete: bool


class ExplainEvent:
    """Judges an event by each dispatcher, as that is now. Reads only.

    The page ends early when the time is nearly over.
    """

    def __init__(
        self,
        events: EventReader,
        dispatchers: DispatcherReader,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._dispatchers = dispatchers
        self._monotonic = monotonic

    async def __call__(
        self, key: EventKey, selection: Selection, *, seconds: float
    ) -> ExplainedEvent:
        """The verdicts of the selected dispatchers; one at least, if there is any.

        Raises EventNotFound.
        """
        until = self._monotonic() + seconds
        found = await self._events.find_event(selection.environment_id, key)
        if found is None:
            raise EventNotFound(key)
        record, content = found
        event = MatchableEvent(record.payload_type, content, record.external_account_id)
        verdicts: list[DispatcherVerdict] = []
        after = selection.after
        while True:
            # One more than is shown tells whether anything follows.
            wanted = min(_READ_AT_ONCE, selection.limit + 1 - len(verdicts))
            part = await self._dispatchers.list_dispatchers(
                replace(selection, after=after, limit=wanted)
            )
            for dispatcher in part:
                is_over = len(verdicts) == selection.limit or self._monotonic() > until
                if is_over and verdicts:
                    return ExplainedEvent(record, verdicts, complete=False)
                verdicts.append(judge(record, event, dispatcher))
                # Filters may be large; other calls are answered between two of them.
                await asyncio.sleep(0)
            if len(part) < wanted:
                return ExplainedEvent(record, verdicts, complete=True)
            after = part[-1].id
