"""A watch that goes on while its log is restored from earlier."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import cast

import pytest

from kongflow_events.application.resource_events import LogPage, LogReader
from kongflow_events.application.watch_events import WatchEvents
from kongflow_events.domain.errors import ResumeTokenForeign
from kongflow_events.domain.log_position import Horizon, LogPosition, LogSelection

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Log:
    """Holds nothing; each look sees one of the numbers of transactions, the last one for ever."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    async def server_id(self) -> int:
        return 7

    async def horizon(self) -> Horizon:
        number = self._numbers.pop(0) if len(self._numbers) > 1 else self._numbers[0]
        return Horizon(number, number, NOW)

    async def read(self, selection: LogSelection, position: LogPosition) -> LogPage:
        return LogPage((), None, full=False, horizon=await self.horizon())


async def told(*numbers: int, position: LogPosition | None = None) -> Sequence[int]:
    """How far the first answers say that the watch is."""

    async def at_once() -> None:
        """Looks again."""

    watch = WatchEvents(cast("LogReader", Log(*numbers)), pause=at_once)
    found: list[int] = []
    async with aclosing(watch(LogSelection(()), position)) as answers:
        async for answer in answers:
            found.append(answer.position.xid)
            if len(found) == 3:
                break
    assert watch.watches == 0
    return found


async def test_a_log_that_moves_on_is_watched() -> None:
    assert await told(1_000, 1_000, 1_001) == [999, 999, 1_000]


async def test_a_log_that_went_back_ends_the_watch() -> None:
    with pytest.raises(ResumeTokenForeign):
        await told(1_000, 1_000, 5)


@pytest.mark.parametrize(("server", "xid"), [(8, 1), (7, 1_000), (7, 5_000)])
async def test_a_position_of_another_log_is_refused(server: int, xid: int) -> None:
    with pytest.raises(ResumeTokenForeign):
        await told(1_000, position=LogPosition(server, xid, 1, NOW))


async def test_a_position_of_this_log_is_gone_on_from() -> None:
    position = LogPosition(7, 999, 1, NOW)
    assert (await told(1_000, position=position))[0] == 999
