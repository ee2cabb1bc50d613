"""How the parts of a call with many events follow each other."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import cast

from kongflow_common.clock import SystemClock
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_events.application.event_entry import EventEntry, SendEvent
from kongflow_events.application.new_event import NewEvent, NewlyStored, StoredEvent
from kongflow_events.application.ports import EventIntake, UnitOfWorkFactory
from kongflow_events.application.send_events import SendEvents
from kongflow_events.domain.event_record import EventState, Tenancy

TENANCY = Tenancy(new_id(), new_id(), new_id())
NOW = datetime.now(UTC)


class HeldIntake:
    """Stores each part when it is told to."""

    def __init__(self) -> None:
        self.parts: list[Sequence[NewEvent]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def add_many(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent | Exception]:
        self.parts.append(events)
        self.gates.append(asyncio.get_running_loop().create_future())
        await self.gates[-1]
        return [NewlyStored(event, NOW, None, None) for event in events]

    def call(self, *event_ids: str) -> "asyncio.Task[Sequence[StoredEvent | Exception]]":
        """Begin a call with events of these ids."""
        send = SendEvents(
            cast("EventIntake", self), cast("UnitOfWorkFactory", None), EventEntry(SystemClock())
        )
        commands = [SendEvent(TENANCY, "name", event_id) for event_id in event_ids]
        return asyncio.create_task(_run(send, commands))


async def _run(
    send: SendEvents, commands: Iterable[SendEvent]
) -> Sequence[StoredEvent | Exception]:
    return await send(commands)


async def settled() -> None:
    """Let all that can go on without the intake do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_two_parts_are_stored_at_a_time() -> None:
    intake = HeldIntake()
    call = intake.call(*(str(n) for n in range(1_100)))
    await eventually(lambda: len(intake.parts) == 2)
    await settled()
    assert [len(part) for part in intake.parts] == [200, 300]
    intake.gates[0].set_result(None)
    await eventually(lambda: len(intake.parts) == 3)
    await settled()
    assert len(intake.parts) == 3
    intake.gates[1].set_result(None)
    await eventually(lambda: len(intake.parts) == 4)
    intake.gates[3].set_result(None)
    intake.gates[2].set_result(None)
    outcomes = await call
    assert [each.record.event_id for each in outcomes if isinstance(each, StoredEvent)] == [
        str(n) for n in range(1_100)
    ]
    assert {each.state for each in outcomes if isinstance(each, StoredEvent)} == {
        EventState.PENDING
    }


async def test_a_part_is_on_its_way_before_the_next_is_made_ready() -> None:
    intake = HeldIntake()
    begun: list[int] = []

    def commands() -> Iterator[SendEvent]:
        for n in range(600):
            begun.append(len(intake.parts))
            yield SendEvent(TENANCY, "name", str(n))

    send = SendEvents(
        cast("EventIntake", intake), cast("UnitOfWorkFactory", None), EventEntry(SystemClock())
    )
    call = asyncio.create_task(_run(send, commands()))
    await eventually(lambda: len(begun) == 600)
    assert begun == [0] * 200 + [1] * 300 + [2] * 100
    call.cancel()
    await asyncio.wait([call])


async def test_a_part_waits_for_the_one_that_it_repeats_an_event_of() -> None:
    intake = HeldIntake()
    call = intake.call(*(str(n) for n in range(500)), "200")
    await eventually(lambda: len(intake.parts) == 2)
    intake.gates[0].set_result(None)
    await settled()
    assert len(intake.parts) == 2
    intake.gates[1].set_result(None)
    await eventually(lambda: len(intake.parts) == 3)
    intake.gates[2].set_result(None)
    assert len(await call) == 501


async def test_what_follows_a_part_that_could_not_be_stored_has_its_failure() -> None:
    intake = HeldIntake()
    call = intake.call(*(str(n) for n in range(2_000)))
    await eventually(lambda: len(intake.parts) == 2)
    intake.gates[0].set_exception(DependencyUnavailable("PostgreSQL"))
    intake.gates[1].set_result(None)
    outcomes = await call
    assert len(intake.parts) == 2
    kinds = [type(each) for each in outcomes]
    assert kinds[:200] == [DependencyUnavailable] * 200
    assert kinds[200:500] == [NewlyStored] * 300
    assert kinds[500:] == [DependencyUnavailable] * 1_500


async def test_a_call_that_is_cancelled_leaves_nothing_running() -> None:
    intake = HeldIntake()
    call = intake.call(*(str(n) for n in range(1_500)))
    await eventually(lambda: len(intake.parts) == 2)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert all(gate.cancelled() for gate in intake.gates)
