"""Explaining and back-testing end early, and say so, where the time runs out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.application.backtest_filter import BacktestFilter
from kongflow_events.application.explain_event import ExplainEvent
from kongflow_events.application.ports import EventKey, FoundEvents, Selection
from kongflow_events.application.try_filter import TriedFilters
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_record import EventContent, EventRecord, PayloadType, Tenancy
from kongflow_events.domain.id_times import first_id_at

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ENVIRONMENT = UUID(int=7)
RECORD = EventRecord(
    id=UUID(int=1),
    event_id="e",
    name="x",
    source="s",
    timestamp=NOW,
    payload_type=PayloadType.JSON,
    tenancy=Tenancy(ENVIRONMENT, ENVIRONMENT, ENVIRONMENT),
    deliver_at=NOW,
    created_at=NOW,
    updated_at=NOW,
)
DISPATCHER = EventDispatcher(
    id=UUID(int=1),
    environment_id=ENVIRONMENT,
    dispatchable_id="job",
    specification=DispatcherSpecification(
        ("x",), "s", None, None, manual=False, enabled=True, dispatchable=JsonDocument(b"{}")
    ),
    account_id=None,
    external_account_id=None,
    generation=1,
    created_at=NOW,
    updated_at=NOW,
)


class Endless:
    """As many events and dispatchers as anyone asks for; remembers how many were held at once."""

    def __init__(self) -> None:
        self.read = 0
        self.most_contents = 0

    async def find_event(
        self, environment_id: UUID, key: EventKey
    ) -> tuple[EventRecord, EventContent] | None:
        return RECORD, EventContent()

    async def page_events(self, selection: Selection) -> FoundEvents:
        found = [replace(RECORD, id=UUID(int=self._next())) for _ in range(selection.limit)]
        return FoundEvents(found, found[-1].id)

    async def read_contents(self, record_ids: Sequence[UUID]) -> Mapping[UUID, EventContent]:
        self.most_contents = max(self.most_contents, len(record_ids))
        return dict.fromkeys(record_ids, EventContent())

    async def find_dispatcher(self, environment_id: UUID, key: EventKey) -> EventDispatcher | None:
        return DISPATCHER

    async def list_dispatchers(self, selection: Selection) -> Sequence[EventDispatcher]:
        return [replace(DISPATCHER, id=UUID(int=self._next())) for _ in range(selection.limit)]

    def _next(self) -> int:
        self.read += 1
        return self.read


class Ticking:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def selection(limit: int) -> Selection:
    return Selection(ENVIRONMENT, None, None, limit)


async def test_a_backtest_says_how_far_it_came() -> None:
    events = Endless()
    backtest = BacktestFilter(events, monotonic=Ticking())
    filters = TriedFilters(JsonDocument(b"{}"), None)
    found = await backtest(filters, selection(1_000), seconds=10)
    assert found.out_of_time_at == RECORD.created_at
    assert found.examined == len(found.matched) == 11
    found = await backtest(filters, selection(1_000), seconds=10_000)
    assert found.out_of_time_at is None
    assert found.examined == 1_000
    assert events.most_contents <= 25


class Scattered(Endless):
    """Pages that find nothing, as those of a filter that holds for few events do."""

    def __init__(self, pages: int) -> None:
        super().__init__()
        self._pages = pages

    async def page_events(self, selection: Selection) -> FoundEvents:
        self._pages -= 1
        end = first_id_at(NOW - timedelta(hours=self._next()))
        return FoundEvents([RECORD] if not self._pages else [], end if self._pages else None)


async def test_a_search_for_events_ends_where_the_time_does() -> None:
    filters = TriedFilters(JsonDocument(b"{}"), None)
    backtest = BacktestFilter(Scattered(1_000), monotonic=Ticking())
    found = await backtest(filters, selection(100), seconds=10)
    assert (found.examined, found.oldest) == (0, None)
    # It says how far it came: each page an hour.
    assert found.out_of_time_at == NOW - timedelta(hours=11)
    found = await BacktestFilter(Scattered(30))(filters, selection(100), seconds=10_000)
    assert (found.examined, found.out_of_time_at) == (1, None)


async def test_a_page_of_verdicts_ends_where_the_time_does() -> None:
    store = Endless()
    explain = ExplainEvent(store, store, monotonic=Ticking())
    found = await explain(RECORD.id, selection(1_000), seconds=10)
    assert not found.complete
    assert [each.dispatcher.id.int for each in found.verdicts] == list(range(1, 11))
    found = await explain(RECORD.id, selection(3), seconds=0)
    assert len(found.verdicts) == 1
    found = await explain(RECORD.id, selection(30), seconds=10_000)
    assert len(found.verdicts) == 30
    assert not found.complete
