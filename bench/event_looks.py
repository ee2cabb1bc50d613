"""What goes through many stored events: counting for a replay, and back-tests of a filter."""

import time
from collections.abc import AsyncIterator
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.filtering import parse_filter
from kongflow_events.adapters.event_reader import SqlReader
from kongflow_events.adapters.replay_counts import count_events
from kongflow_events.application.backtest_filter import BacktestFilter
from kongflow_events.application.ports_replays import ReplaySelection
from kongflow_events.application.selection import Selection
from kongflow_events.application.try_filter import TriedFilters
from kongflow_events.rpc.event_mapping import EVENT_FILTER_FIELDS

__all__ = ["looks"]

# As the service has them, with a caller that waits for ten seconds.
COUNTING_SECONDS = 4.0
BACKTEST_SECONDS = 9.0
COUNTED = ("", "name = order.created", "source = shop", "source = seldom")
BACKTESTED = ("", "name = seldom.seen", "source = seldom", "source = nowhere")


async def looks(database: Database, environment_id: UUID) -> AsyncIterator[str]:
    """A line each: what was looked at, how much of it, and how long that took."""
    for text in COUNTED:
        condition = parse_filter(text, EVENT_FILTER_FIELDS)
        began = time.perf_counter()
        counted = await count_events(
            database,
            ReplaySelection(environment_id, condition, None, None),
            seconds=COUNTING_SECONDS,
        )
        seconds = time.perf_counter() - began
        more = "+" if counted.is_partial else ""
        yield f"counted, {text or 'everything'}: {counted.events:,}{more} in {seconds:.1f} s"
    backtest = BacktestFilter(SqlReader(database))
    filters = TriedFilters(JsonDocument(b'{"order": [{"$gt": 5}]}'), None)
    for text in BACKTESTED:
        condition = parse_filter(text, EVENT_FILTER_FIELDS)
        began = time.perf_counter()
        tested = await backtest(
            filters, Selection(environment_id, condition, None, 1_000), seconds=BACKTEST_SECONDS
        )
        seconds = time.perf_counter() - began
        ended = "ended early" if tested.out_of_time_at is not None else "all"
        yield (
            f"back-test, {text or 'everything'}: {tested.examined:,} events, {ended}, "
            f"in {seconds:.1f} s"
        )
