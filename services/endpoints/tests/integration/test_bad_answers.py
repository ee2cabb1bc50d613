"""Programs that answer what no program should: the index ends, and nobody else notices."""

import asyncio

import orjson
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_endpoints.domain.endpoint import EndpointIndex, IndexStatus, Place
from kongflow_endpoints.main import endpoint_program
from services.endpoints.tests.conftest import Handler, Programs, described, holds, speaks
from services.endpoints.tests.integration.test_indexing import System, system

__all__ = ["system"]


def says(status: int, body: bytes, **headers: str) -> Handler:
    return lambda _headers, _body: (status, headers, body)


def source(**changes: object) -> dict[str, object]:
    return {"version": "2", "channel": "HTTP", "key": "s", "options": {}, **changes}


MANY = 200_000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(200, b"<html>"), "There's an issue with the format of your Jobs"),
        (says(200, b"[" * 100_000), "There's an issue with the format of your Jobs"),
        (says(200, b'\xff{"jobs":[]}'), "There's an issue with the format of your Jobs"),
        (says(401, b'{"message":"no\\u0000 key"}'), "no\ufffd key"),
        (says(500, b"\x00"), "Status code: 500"),
        (says(200, holds(described("a\0b"))), 'Job "a\ufffdb": holds the character NUL'),
        (says(200, holds(described(name="a\0b"))), 'Job "order": holds the character NUL'),
        (says(200, holds(described(trigger={"type": "\0"}))), 'Job "order": Input tag'),
        (says(200, holds(sources=[source(key="\0")])), "There's an issue with the format"),
        (says(200, holds(sources=[source(options=["\0"])])), "There's an issue with the format"),
        (says(200, holds(described("x" * 1_000_000))), 'Job "xxxx'),
        (
            says(200, holds(dynamicTriggers=[{"id": "d", "jobs": [1] * MANY}])),
            "There's an issue with the format of your Jobs",
        ),
        (says(200, holds(*({} for _ in range(100_000)))), "holds too much: 100000 items"),
    ],
)
async def test_the_index_ends_and_holds_nothing(
    system: System,
    programs: Programs,
    place: Place,
    worker_queue: RecordingWorkerQueue,
    answer: Handler,
    words: str,
) -> None:
    other = await programs(speaks())
    _, index = await system.create(place, "shop", other.url, environment_type="DEVELOPMENT")
    other.handle = answer
    await system.perform(place.environment_id, index.id)
    failed = await system.read(place, index)
    assert failed.status is IndexStatus.FAILURE
    assert failed.error is not None
    assert words in failed.error.message
    assert len(failed.error.message) <= 20_000
    assert (
        await system.reader.items(
            place.environment_id, index.id, None, None, 10, with_metadata=True
        )
        == []
    )
    assert {each.kind for each in worker_queue.messages} <= {"performEndpointIndexing"}
    # The next one is as good as ever.
    other.handle = speaks(described())
    _, again = await system.create(place, "shop", other.url, environment_type="DEVELOPMENT")
    assert (await system.run(place, again)).status is IndexStatus.SUCCESS


async def test_others_are_indexed_while_some_stall_or_flood(
    database: Database, relay: OutboxRelay, programs: Programs, place: Place
) -> None:
    policy = AddressPolicy(allow_private=True)
    async with endpoint_program(policy, ping_seconds=10.0, index_seconds=60.0) as patient:
        system = System(database, relay, patient)
        stalled: list[tuple[asyncio.Task[None], EndpointIndex]] = []
        flooded: list[tuple[asyncio.Task[None], EndpointIndex]] = []
        for n in range(8):
            program = await programs(speaks(slug=f"bad-{n}"))
            _, index = await system.create(
                place, f"bad-{n}", program.url, environment_type="DEVELOPMENT"
            )
            program.stalls = n % 2 == 0
            program.handle = says(200, b" " * 17_000_000)
            task = asyncio.create_task(system.perform(place.environment_id, index.id))
            (stalled if program.stalls else flooded).append((task, index))
        good = await programs(speaks(*(described(f"j{n}") for n in range(50))))
        _, index = await system.create(place, "shop", good.url, environment_type="DEVELOPMENT")
        assert (await system.run(place, index)).status is IndexStatus.SUCCESS
        for task, index in flooded:
            await task
            assert (await system.read(place, index)).status is IndexStatus.FAILURE
        assert not any(task.done() for task, _ in stalled)
        for task, _ in stalled:
            task.cancel()
        await asyncio.gather(*(task for task, _ in stalled), return_exceptions=True)


async def test_a_thousand_jobs(system: System, programs: Programs, place: Place) -> None:
    other = await programs(speaks(*(described(f"j{n}") for n in range(1_000))))
    _, index = await system.create(place, "shop", other.url, environment_type="DEVELOPMENT")
    await system.perform(place.environment_id, index.id)
    items = await system.items(place, index)
    batches = [items[start : start + 50] for start in range(0, len(items), 50)]
    await asyncio.gather(*(system.register(place.environment_id, batch) for batch in batches))
    ended = await system.read(place, index)
    assert ended.status is IndexStatus.SUCCESS
    assert ended.statistics is not None
    assert ended.statistics.jobs == 1_000
    assert len({slug for slug, _ in system.jobs.registered}) == 1_000


async def test_the_beginning_of_an_answer_is_kept(
    system: System, programs: Programs, place: Place
) -> None:
    other = await programs(speaks())
    _, index = await system.create(place, "shop", other.url, environment_type="DEVELOPMENT")
    other.handle = says(200, b"<html>\x00\xff" + b"x" * 10_000)
    await system.perform(place.environment_id, index.id)
    failed = await system.read(place, index)
    assert failed.error is not None
    assert failed.error.raw is not None
    raw = orjson.loads(failed.error.raw.text)
    assert raw["answer"].startswith("<html>\ufffd\ufffdxxx")
    assert len(raw["answer"]) == 2_000
