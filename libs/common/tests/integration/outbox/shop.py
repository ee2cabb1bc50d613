"""What the tests of the outbox of `shop` say often."""

from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import (
    OutboxMessage,
)
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.supervision import Backoff
from kongflow_common.testing import RecordingWorkerQueue, eventually

ROWS = OutboxRows("shop")
QUICK = Backoff(initial=0.01, longest=0.05)


def a_relay(
    database: Database,
    queue: RecordingWorkerQueue,
    *,
    instance: str = "this",
    batch_size: int = 500,
    max_offered: int = 10_000,
) -> OutboxRelay:
    return OutboxRelay(
        database,
        "shop",
        queue,
        instance=instance,
        batch_size=batch_size,
        max_offered=max_offered,
        backoff=QUICK,
    )


def a_message(kind: str = "pack", job_key: str = "") -> OutboxMessage:
    return OutboxMessage.enqueue(kind, b'{"a": 1}', environment_id=new_id(), job_key=job_key)


async def insert(
    database: Database, messages: list[OutboxMessage], claimed_by: str | None = None
) -> None:
    await database.pool.execute(ROWS.insert, ROWS.bind(messages, claimed_by))


async def left(database: Database) -> list[UUID]:
    return [id_ for (id_,) in await database.pool.execute("SELECT id FROM shop.outbox ORDER BY id")]


async def is_empty(database: Database) -> bool:
    return not await left(database)


async def ready(relay: OutboxRelay) -> str:
    async def name() -> str | None:
        # While it looks at the table it takes messages in memory too, and sends them afterwards.
        return relay.claimed_by_for_new_rows() if relay._alarm is not None else None

    return await eventually(name) or ""


async def expire_claims(database: Database) -> None:
    await database.pool.execute(
        "UPDATE shop.outbox SET claimed_until = clock_timestamp() - interval '1 second'"
    )
