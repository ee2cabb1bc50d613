"""How long an endpoint's platform lets an execution last is measured once."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_endpoints.adapters.endpoint_program import HttpEndpointProgram
from kongflow_endpoints.application.ports import Called, EndpointProgram, NotCalled
from kongflow_endpoints.application.probe_endpoint import ProbeEndpoint
from kongflow_endpoints.application.update_endpoint import DeleteEndpoint, UpdateEndpoint
from kongflow_endpoints.domain.endpoint import Endpoint, LimitOrigin, Place, measured_chunk
from services.endpoints.tests.conftest import Handler, Program, Programs, Reply, speaks
from services.endpoints.tests.integration.test_indexing import System


@pytest.fixture
def system(database: Database, relay: OutboxRelay, program: HttpEndpointProgram) -> System:
    return System(database, relay, program)


def probed_with(reply: Reply) -> Handler:
    """A program that answers the probe like that, at once."""
    otherwise = speaks()

    async def handle(headers: dict[str, str], body: bytes) -> Reply:
        if headers["x-trigger-action"] == "PROBE_EXECUTION_TIMEOUT":
            return reply
        answer = otherwise(headers, body)
        assert isinstance(answer, tuple)
        return answer

    return handle


def probe_of(system: System, program: EndpointProgram, **lasting: timedelta) -> ProbeEndpoint:
    return ProbeEndpoint(system.reader, program, system.keys, system.unit_of_work, **lasting)


async def created(system: System, place: Place, other: Program, of: str) -> Endpoint:
    endpoint, index = await system.create(place, "shop", other.url, environment_type=of)
    await system.perform(place.environment_id, index.id)
    return endpoint


async def limit(system: System, endpoint: Endpoint) -> tuple[int, LimitOrigin]:
    found = await system.reader.find(endpoint.place.environment_id, endpoint.id)
    assert found is not None
    return found.run_chunk_execution_limit, found.run_chunk_execution_limit_origin


@pytest.mark.parametrize(
    ("lasted", "kept"), [(0.0, 10_000), (25.4321, 25_432), (119.9, 119_900), (300.0, 120_000)]
)
def test_a_limit_is_ten_seconds_to_two_minutes(lasted: float, kept: int) -> None:
    assert measured_chunk(timedelta(seconds=lasted)) == kept


@pytest.mark.parametrize("of", ["PRODUCTION", "STAGING", "PREVIEW", "DEVELOPMENT"])
async def test_a_successful_index_has_what_nobody_knows_measured_but_not_in_development(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue, of: str
) -> None:
    other = await programs(speaks())
    endpoint = await created(system, place, other, of)
    await created(system, place, other, of)
    await eventually(lambda: len(worker_queue.messages) == 2 + (of != "DEVELOPMENT"))
    probes = [each for each in worker_queue.messages if each.kind == "probeEndpoint"]
    assert [orjson.loads(each.args) for each in probes] == (
        [] if of == "DEVELOPMENT" else [{"endpointId": str(endpoint.id)}]
    )
    assert [each.environment_id for each in probes] == [place.environment_id] * len(probes)


async def test_an_index_that_failed_has_nothing_measured(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    other = await programs(speaks())
    _, index = await system.create(place, "shop", other.url, environment_type="PRODUCTION")
    other.handle = lambda _headers, _body: (500, {}, b"")
    await system.perform(place.environment_id, index.id)
    await eventually(lambda: len(worker_queue.messages) == 1)
    worker_queue.assert_enqueued("performEndpointIndexing")


async def test_what_could_not_be_measured_is_measured_a_day_later(
    system: System,
    programs: Programs,
    place: Place,
    worker_queue: RecordingWorkerQueue,
    database: Database,
) -> None:
    other = await programs(speaks())
    await created(system, place, other, "PRODUCTION")
    await database.pool.execute(
        "UPDATE endpoints.endpoints SET probe_requested_at = now() - interval '25 hours'"
    )
    await created(system, place, other, "PRODUCTION")
    await eventually(lambda: len(worker_queue.messages) == 4)
    assert [each.kind for each in worker_queue.messages].count("probeEndpoint") == 2


@pytest.mark.parametrize(
    ("reply", "measured"),
    [
        ((200, {}, b'{"ok":true}'), True),
        ((504, {}, b""), True),
        ((502, {}, b"TIME_LIMIT"), True),
        ((502, {}, b"no such luck"), False),
        ((204, {}, b""), False),
        ((405, {}, b'{"message":"Method not allowed"}'), False),
        ((401, {}, b"{}"), False),
    ],
)
async def test_an_answer_or_the_platforms_end_says_how_long(
    system: System,
    programs: Programs,
    program: HttpEndpointProgram,
    place: Place,
    reply: Reply,
    measured: bool,
) -> None:
    other = await programs(probed_with(reply))
    endpoint = await created(system, place, other, "PRODUCTION")
    # All of them end sooner than any limit may be.
    wanted = 10_000 if measured else None
    assert await probe_of(system, program)(place.environment_id, endpoint.id) == wanted
    assert await limit(system, endpoint) == (
        (10_000, LimitOrigin.PROBE) if measured else (60_000, LimitOrigin.DEFAULT)
    )
    assert other.calls[-1]["x-trigger-action"] == "PROBE_EXECUTION_TIMEOUT"
    assert other.calls[-1]["x-trigger-api-key"]
    assert orjson.loads(other.bodies[-1]) == {"timeout": 120_000}


async def test_what_is_measured_is_how_long_it_took(
    programs: Programs, program: HttpEndpointProgram, system: System
) -> None:
    async def ends_it(_headers: dict[str, str], _body: bytes) -> Reply:
        await asyncio.sleep(0.3)
        return 504, {}, b""

    other = await programs(ends_it)
    key = system.keys.key
    assert key is not None
    called = await program.probe(other.url, key, timedelta(seconds=1))
    assert isinstance(called, Called)
    assert called.timed_out
    assert timedelta(seconds=0.3) <= called.duration < timedelta(seconds=5)


async def test_who_does_not_answer_or_may_not_be_called_keeps_its_limit(
    system: System, programs: Programs, program: HttpEndpointProgram, place: Place
) -> None:
    other = await programs(speaks())
    endpoint = await created(system, place, other, "PRODUCTION")
    other.raw = b""
    assert await probe_of(system, program)(place.environment_id, endpoint.id) is None
    key = system.keys.key
    assert key is not None
    assert isinstance(
        await program.probe("http://169.254.169.254/", key, timedelta(seconds=1)), NotCalled
    )
    system.keys.key = None
    assert await probe_of(system, program)(place.environment_id, endpoint.id) is None
    system.keys.key = key
    assert await limit(system, endpoint) == (60_000, LimitOrigin.DEFAULT)
    # A stranger's, and one that is deleted meanwhile.
    calls = len(other.calls)
    assert await probe_of(system, program)(endpoint.id, endpoint.id) is None
    await DeleteEndpoint(system.unit_of_work)(place.environment_id, endpoint.id)
    assert await probe_of(system, program)(place.environment_id, endpoint.id) is None
    assert len(other.calls) == calls


async def test_a_users_limit_stays_and_a_new_url_is_measured_anew(
    system: System,
    programs: Programs,
    program: HttpEndpointProgram,
    place: Place,
    worker_queue: RecordingWorkerQueue,
) -> None:
    other = await programs(probed_with((200, {}, b"")))
    endpoint = await created(system, place, other, "PRODUCTION")
    probe = probe_of(system, program)
    assert await probe(place.environment_id, endpoint.id) == 10_000
    await created(system, place, other, "PRODUCTION")
    assert await limit(system, endpoint) == (10_000, LimitOrigin.PROBE)

    moved = await programs(probed_with((200, {}, b"")))
    await created(system, place, moved, "PRODUCTION")
    assert await limit(system, endpoint) == (10_000, LimitOrigin.DEFAULT)
    await eventually(lambda: len(worker_queue.messages) == 5)
    assert [each.kind for each in worker_queue.messages].count("probeEndpoint") == 2

    update = UpdateEndpoint(program, system.keys, system.reader, system.unit_of_work)
    await update(place.environment_id, endpoint.id, url=None, run_chunk_execution_limit=30_000)
    assert await probe(place.environment_id, endpoint.id) is None
    await created(system, place, other, "PRODUCTION")
    assert await limit(system, endpoint) == (30_000, LimitOrigin.USER)


async def test_what_was_measured_at_another_url_is_not_kept(
    system: System, programs: Programs, program: HttpEndpointProgram, place: Place
) -> None:
    """The user moves the program while it is being probed."""
    elsewhere = await programs(speaks())

    async def moves_meanwhile(headers: dict[str, str], body: bytes) -> Reply:
        if headers["x-trigger-action"] == "PROBE_EXECUTION_TIMEOUT":
            await system.create(place, "shop", elsewhere.url, environment_type="PRODUCTION")
            return 200, {}, b""
        answer = speaks()(headers, body)
        assert isinstance(answer, tuple)
        return answer

    other = await programs(moves_meanwhile)
    endpoint = await created(system, place, other, "PRODUCTION")
    assert await probe_of(system, program)(place.environment_id, endpoint.id) is None
    assert await limit(system, endpoint) == (60_000, LimitOrigin.DEFAULT)
