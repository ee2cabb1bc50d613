"""An account that is deleted frees its name at once, and takes along what belongs to it."""

import asyncio
from uuid import UUID

import grpc
import orjson

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.rpc.purge_call import LOOK_AGAIN_AFTER
from kongflow_common.rpc.task_results import Snooze, parse_snooze
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from kongflow_events.rpc.event_mapping import to_tenancy
from services.events.tests.events_context import EventsContext

CODE = grpc.StatusCode
TIMEOUT = 10


async def delete(context: EventsContext, account_id: str, *, key: str = "") -> None:
    await context.client.DeleteExternalAccount(
        pb.DeleteExternalAccountRequest(account_id=account_id),
        metadata=bearer(key) if key else context.as_sender,
        timeout=TIMEOUT,
    )


async def purge(context: EventsContext, account: UUID) -> tuple[int, Snooze | None]:
    """What a call of the worker queue deletes, and when it is to be repeated."""
    request = tasks_pb.PurgeAccountRequest()
    request.event.resource_id = str(account)
    call = context.tasks.PurgeAccount(request, metadata=context.as_worker, timeout=TIMEOUT)
    return (await call).deleted, parse_snooze(await call.trailing_metadata())


async def accounts(context: EventsContext) -> dict[str, UUID]:
    rows = await context.database.pool.execute(
        "SELECT identifier, id FROM events.external_accounts"
    )
    return dict(rows)


async def accounts_of_events(context: EventsContext) -> set[UUID | None]:
    rows = await context.database.pool.execute(
        "SELECT DISTINCT external_account_id FROM events.event_records"
    )
    return {row[0] for row in rows}


async def count(context: EventsContext, table: str) -> int:
    [(rows,)] = await context.database.pool.execute(f"SELECT count(*) FROM events.{table}")
    return int(rows)


async def test_what_belongs_to_the_account_goes_and_nothing_else(context: EventsContext) -> None:
    await context.put("theirs", "order.created", account_id="acme")
    await context.put("ours", "order.created")
    await context.send(account_id="acme", deliver_after=3600)
    gone = [await context.send(account_id="acme") for _ in range(3)]
    stays = [await context.send(account_id="other"), await context.send()]
    acme = (await accounts(context))["acme"]
    await delete(context, "acme")
    # Its name is free: what comes now is of another account of this name.
    later = await context.send(account_id="acme")
    assert (await accounts(context))["acme"] != acme

    assert await purge(context, acme) == (1 + 4 + 1, Snooze(LOOK_AGAIN_AFTER))
    assert await purge(context, acme) == (0, None)
    for record in gone:
        with refusal(CODE.NOT_FOUND):
            await context.get(record.id)
        assert (await context.deliver(record))[0].status.code == 0
    assert [(await context.get(record.id)).account_id for record in stays] == ["other", ""]
    assert (await context.get(later.id)).account_id == "acme"
    assert sorted(await accounts(context)) == ["acme", "other"]
    assert await count(context, "event_dispatchers") == 1
    logged = await context.database.pool.execute(
        "SELECT type, resource_id FROM events.resource_events"
    )
    assert {resource for type_, resource in logged if type_ == "event.ingested"} == {
        record.id for record in (*stays, later)
    }
    assert [resource for type_, resource in logged if type_ == "account.deleted"] == [str(acme)]


async def test_whoever_holds_something_of_the_account_is_told(context: EventsContext) -> None:
    await context.send(account_id="acme")
    acme = (await accounts(context))["acme"]
    await delete(context, "acme")
    await context.worker_queue.wait_for(PUBLISH, 1)
    [message] = context.worker_queue.of_kind(PUBLISH)
    event = orjson.loads(message.args)
    assert (event["type"], event["resourceId"], event["data"]) == (
        "account.deleted",
        str(acme),
        {},
    )
    assert message.environment_id == context.environment.environment_id


async def test_only_an_account_of_the_environment_is_deleted_and_only_once(
    context: EventsContext,
) -> None:
    await context.send(account_id="acme")
    credentials = context.server.credentials
    key = credentials.add_secret_key(credentials.add_environment())
    for account_id, sender in (("unknown", ""), ("acme", key)):
        with refusal(CODE.NOT_FOUND) as refused:
            await delete(context, account_id, key=sender)
        assert refused.reason == "ACCOUNT_NOT_FOUND"
    with refusal(CODE.INVALID_ARGUMENT):
        await delete(context, "")
    outcomes = await asyncio.gather(
        *(delete(context, "acme") for _ in range(5)), return_exceptions=True
    )
    codes = [each.code() for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    # Those that waited too long for their turn may be repeated.
    assert len(codes) == 4
    assert set(codes) <= {CODE.NOT_FOUND, CODE.ABORTED}


async def test_nothing_is_deleted_while_an_account_is_being_used(context: EventsContext) -> None:
    await context.send(account_id="acme")
    before = await accounts(context)
    async with context.unit_of_work() as uow:
        await uow.dispatchers.account(to_tenancy(context.environment), "another")
        with refusal(CODE.ABORTED):
            await delete(context, "acme")
    assert await accounts(context) == before
    await delete(context, "acme")


async def test_an_event_is_of_the_account_before_or_of_the_one_after(
    context: EventsContext,
) -> None:
    """Never of none, whenever the account goes under its feet."""
    seen: set[UUID] = set()
    await context.send(account_id="acme")
    stop = asyncio.Event()

    async def sender() -> None:
        while not stop.is_set():
            await context.send(account_id="acme")

    senders = [asyncio.create_task(sender()) for _ in range(8)]
    deleted = 0
    try:
        while deleted < 10:
            seen.add((await accounts(context))["acme"])
            try:
                await delete(context, "acme")
            except grpc.aio.AioRpcError as error:
                if error.code() is not CODE.ABORTED:
                    raise
            else:
                deleted += 1
                # The next has a name to free.
                await context.send(account_id="acme")
    finally:
        stop.set()
        await asyncio.gather(*senders)
    seen.add((await accounts(context))["acme"])
    assert len(seen) == deleted + 1
    assert await accounts_of_events(context) <= seen
