"""ListResourceEvents and WatchEvents over a real channel."""

import asyncio
import base64
import random
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

import grpc
import pytest

from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from kongflow_events.application import watch_events
from kongflow_events.domain.log_position import LAST_SEQUENCE, LogPosition, LogSelection
from kongflow_events.rpc.resume_token import resume_token
from services.events.tests.events_context import EventsContext
from services.events.tests.resource_log import Watch, happened, log, log_in

TIMEOUT = 10.0


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_events, "_LOOK_SECONDS", 0.02)


async def listed(context: EventsContext, **fields: object) -> pb.ListResourceEventsResponse:
    return await context.resource_events.ListResourceEvents(
        pb.ListResourceEventsRequest(**{"resource_id": "resource", **fields}),  # type: ignore[arg-type]
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )


def other_environment(context: EventsContext) -> tuple[tuple[str, str], ...]:
    """The metadata of a caller of another environment."""
    environment = context.server.credentials.add_environment()
    return bearer(context.server.credentials.add_secret_key(environment))


async def test_a_resource_s_events_are_listed_in_pages_the_oldest_first(
    context: EventsContext,
) -> None:
    events = [happened(context.environment, matched=number) for number in range(5)]
    await log(context, *reversed(events))
    await log(context, happened(context.environment, resource_id="another"))
    seen: list[ResourceEvent] = []
    token = ""
    while True:
        page = await listed(context, page_size=2, page_token=token)
        seen += page.resource_events
        token = page.next_page_token
        if not token:
            break
    assert [event.id for event in seen] == [str(event.id) for event in events]
    first = seen[0]
    assert (first.type, first.version, first.layer) == (
        "event.delivered",
        1,
        ResourceEvent.LAYER_DOMAIN,
    )
    assert first.data.json.replace(b" ", b"") == b'{"matchedCount":0}'
    assert first.environment_id == str(context.environment.environment_id)


async def test_a_list_is_bounded_by_time(context: EventsContext) -> None:
    events = [happened(context.environment) for _ in range(3)]
    await log(context, *events)
    request = pb.ListResourceEventsRequest(resource_id="resource")
    request.start_time.FromDatetime(events[1].timestamp)
    request.end_time.FromDatetime(events[1].timestamp)
    page = await context.resource_events.ListResourceEvents(
        request, metadata=context.as_sender, timeout=TIMEOUT
    )
    assert [event.id for event in page.resource_events] == [str(events[1].id)]


async def test_another_environment_sees_nothing(context: EventsContext) -> None:
    stranger = other_environment(context)
    async with Watch(context, metadata=stranger) as watch, Watch(context) as own:
        event = happened(context.environment)
        await log(context, event)
        assert await own.until(1) == [str(event.id)]
        page = await context.resource_events.ListResourceEvents(
            pb.ListResourceEventsRequest(resource_id="resource"),
            metadata=stranger,
            timeout=TIMEOUT,
        )
        assert not page.resource_events
        # It has looked since: an event of its own would be behind this one.
        await log(context, happened(context.environment))
        assert not watch.events


async def test_an_event_recorded_twice_is_there_once(context: EventsContext) -> None:
    event = happened(context.environment)
    await log(context, event)
    await log(context, event)
    assert len((await listed(context)).resource_events) == 1


async def test_what_happens_to_the_project_is_told_too(context: EventsContext) -> None:
    async with Watch(context) as watch:
        event = happened(context.environment, above=True)
        await log(context, event)
        assert await watch.until(1) == [str(event.id)]
        assert watch.events[0].environment_id == ""


async def test_a_watch_tells_of_a_resource_or_of_types(context: EventsContext) -> None:
    environment = context.environment
    async with (
        Watch(context, resource_id="mine") as of_resource,
        Watch(context, types=["event.cancelled", "run.completed.success"]) as of_types,
    ):
        others = [happened(environment) for _ in range(watch_events.MAX_WATCHES * 4)]
        mine = happened(environment, resource_id="mine")
        cancelled = happened(environment, "event.cancelled")
        await log(context, *others, mine, cancelled)
        assert await of_resource.until(1) == [str(mine.id)]
        assert await of_types.until(1) == [str(cancelled.id)]


async def test_what_commits_later_is_not_passed_over(context: EventsContext) -> None:
    early, late = happened(context.environment), happened(context.environment)
    async with Watch(context) as watch:
        async with context.database.pool.connection() as held, held.transaction():
            await log_in(held, early)
            await log(context, late)
            [(open_sequence, done_sequence)] = await sequences(held)
            assert open_sequence < done_sequence
            # Both a watch that goes on and one that begins now look while it is open.
            token = watch.token
            async with Watch(context, token=token) as resumed:
                for each in (watch, resumed):
                    await tells_nothing(each)
                token = resumed.token
        async with Watch(context, token=token) as resumed:
            assert await resumed.until(2) == [str(early.id), str(late.id)]


async def tells_nothing(watch: Watch) -> None:
    """Look on while it makes at least ten looks."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await watch.until(1)
    assert not watch.events


async def sequences(connection: object) -> list[tuple[int, int]]:
    cursor = await connection.execute(  # type: ignore[attr-defined]
        "SELECT min(sequence), max(sequence) FROM events.resource_events"
    )
    rows: list[tuple[int, int]] = await cursor.fetchall()
    return rows


async def test_no_gap_and_no_repetition_over_reconnects_while_transactions_overlap(
    context: EventsContext,
) -> None:
    """Writers hold their transactions open for odd times; the reader is cut off all the time."""
    chance = random.Random(7)
    written: list[str] = []

    async def write() -> None:
        for _ in range(40):
            events = [happened(context.environment) for _ in range(chance.randint(1, 3))]
            async with context.database.pool.connection() as connection, connection.transaction():
                await log_in(connection, *events)
                await asyncio.sleep(chance.random() * 0.01)
            written.extend(str(event.id) for event in events)

    async with Watch(context) as watch:
        token = watch.token
    read: list[str] = []
    writers = asyncio.gather(*(write() for _ in range(3)))
    while not writers.done() or len(read) < len(written):
        async with Watch(context, token=token) as watch:
            await watch.until(1)
            read += watch.ids
            token = watch.token
        assert len(read) <= len(written) + 9
    await writers
    assert sorted(read) == sorted(written)


@pytest.mark.parametrize("change", ["", "x", "!!!", "A" * 80, "A" * 10_000])
async def test_a_text_that_is_no_token_is_refused(context: EventsContext, change: str) -> None:
    await refused(context, change or "not a token")


async def test_a_forged_token_is_refused(context: EventsContext) -> None:
    async with Watch(context) as watch:
        token = watch.token
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for place in range(len(raw)):
        forged = bytearray(raw)
        forged[place] ^= 1
        await refused(context, base64.urlsafe_b64encode(forged).decode().rstrip("="))


async def test_a_token_serves_its_own_watch_only(context: EventsContext) -> None:
    async with Watch(context) as watch:
        token = watch.token
    await refused(context, token, resource_id="another")
    await refused(context, token, types=["event.delivered"])
    await refused(context, token, metadata=other_environment(context))


async def refused(context: EventsContext, token: str, **fields: object) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused_with:
        await Watch(context, token=token, **fields).answer()  # type: ignore[arg-type]
    assert list(refused_with.fields) == ["resume_token"]


async def test_a_token_from_before_the_log_is_too_old(context: EventsContext) -> None:
    environment = context.environment
    [(key, now, server)] = await context.database.pool.execute(
        "SELECT l.token_key, now(), c.system_identifier "
        "FROM events.resource_log l, pg_control_system() c"
    )
    selection = LogSelection(
        (environment.environment_id, environment.project_id, environment.organization_id)
    )
    position = LogPosition(server, 1, LAST_SEQUENCE, now - timedelta(days=30, minutes=1))
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused_with:
        await Watch(context, token=resume_token(position, selection, bytes(key))).answer()
    assert refused_with.reason == "RESUME_TOKEN_EXPIRED"


async def test_a_token_from_before_the_database_was_restored_is_refused(
    context: EventsContext,
) -> None:
    environment = context.environment
    [(key, now, server, next_xid)] = await context.database.pool.execute(
        "SELECT l.token_key, now(), c.system_identifier, "
        "pg_snapshot_xmax(pg_current_snapshot())::text::bigint "
        "FROM events.resource_log l, pg_control_system() c"
    )
    selection = LogSelection(
        (environment.environment_id, environment.project_id, environment.organization_id)
    )
    foreign = {
        "of another cluster": LogPosition(server - 1, 1, LAST_SEQUENCE, now),
        "ahead": LogPosition(server, next_xid + 1_000_000, LAST_SEQUENCE, now),
    }
    for name, position in foreign.items():
        with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused_with:
            await Watch(context, token=resume_token(position, selection, bytes(key))).answer()
        assert refused_with.reason == "RESUME_TOKEN_FOREIGN", name
    # As far as can be seen is not ahead.
    async with Watch(context) as watch:
        await log(context, happened(context.environment))
        await watch.until(1)
        token = watch.token
    async with Watch(context, token=token) as resumed:
        event = happened(context.environment)
        await log(context, event)
        assert await resumed.until(1) == [str(event.id)]


async def test_whoever_may_read_the_log_may_ask_which_server_it_is_on(
    context: EventsContext,
) -> None:
    role = f"reader_{new_id().hex}"
    async with (
        context.database.pool.connection() as connection,
        connection.transaction(force_rollback=True),
    ):
        await connection.execute(f"CREATE ROLE {role}")
        await connection.execute(f"SET LOCAL ROLE {role}")
        cursor = await connection.execute("SELECT system_identifier FROM pg_control_system()")
        assert await cursor.fetchone()


async def test_there_are_only_so_many_watches(
    context: EventsContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What so many quick ones would read is of no interest here.
    monkeypatch.setattr(watch_events, "_LOOK_SECONDS", 60)
    async with AsyncExitStack() as stack:
        for _ in range(watch_events.MAX_WATCHES):
            await stack.enter_async_context(Watch(context))
        with refusal(grpc.StatusCode.RESOURCE_EXHAUSTED) as refused_with:
            await Watch(context).answer()
    assert refused_with.reason == "TOO_MANY_WATCHES"
