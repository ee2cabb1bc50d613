"""PostgreSQL goes away and comes back; nothing else is needed."""

import grpc
import pytest

from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer
from services.events.tests.events_context import EventsContext


@pytest.mark.faults
async def test_calls_are_unavailable_while_postgresql_is_away(
    context: EventsContext, postgres_server: RunningServer[PostgresServer]
) -> None:
    before = await context.send(event_id="before")
    await context.put()
    postgres_server.kill()
    try:
        for call in (
            context.send(event_id="during"),
            context.send(event_id="during", account_id="x"),
            context.get(before.id),
            context.cancel(before.id),
            context.put(),
            context.deliver(before),
            context.invoke((before.id, before.id)),
        ):
            with refusal(grpc.StatusCode.UNAVAILABLE) as refused:
                await call
            assert refused.info.metadata["dependency"] == "postgresql"
            assert refused.retry_seconds is not None
    finally:
        postgres_server.start()

    async def works() -> bool:
        try:
            await context.send(event_id="after")
        except grpc.aio.AioRpcError as error:
            raise AssertionError(error.details()) from error
        return True

    await eventually(works, 20)
    await context.worker_queue.wait_for("deliverEvent", 2, 20)
