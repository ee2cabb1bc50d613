"""From the first SendEvent to the last finished run, and how long many jobs take to be indexed."""

import asyncio
import time
from typing import TYPE_CHECKING, LiteralString

import grpc
import psycopg

from bench.end_to_end import wait_for_count, wait_quiet
from bench.program import EVENT, SLUG, Program
from bench.send_event import send_count
from bench.system import CALL_TIMEOUT_S, System
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub

if TYPE_CHECKING:
    from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceAsyncStub

EVENTS = 2_000
CALLERS = 64
JOBS = 1_000
DEADLINE_S = 180.0

COUNT_SUCCEEDED: LiteralString = "SELECT count(*) FROM runs.job_runs WHERE status = 'SUCCESS'"


async def runs_per_second(system: System) -> float:
    """Sends 2,000 events from 64 callers; until as many more runs have succeeded."""
    async with await psycopg.AsyncConnection.connect(
        system.database_url, autocommit=True
    ) as connection:
        await wait_quiet(connection)
        [(before,)] = await (await connection.execute(COUNT_SUCCEEDED)).fetchall()
        started = time.perf_counter()
        sending = asyncio.create_task(send_count(system, name=EVENT, callers=CALLERS, count=EVENTS))
        try:
            wanted = before + EVENTS
            await wait_for_count(connection, COUNT_SUCCEEDED, wanted, started + DEADLINE_S)
            return EVENTS / (time.perf_counter() - started)
        finally:
            await sending


async def register(system: System, program: Program) -> None:
    """Creates the program's endpoint and waits for the end of its index."""
    async with grpc.aio.insecure_channel(system.endpoints_target) as channel:
        stub = EndpointsServiceStub(channel)
        endpoint = endpoint_pb2.Endpoint(slug=SLUG, url=program.url)
        created = await stub.CreateEndpoint(
            pb.CreateEndpointRequest(endpoint=endpoint),
            metadata=system.metadata,
            timeout=CALL_TIMEOUT_S,
        )
        await _ended(system, stub, created.endpoint_index.id)


async def index_seconds(system: System, program: Program, event: str) -> float:
    """From IndexEndpoint to the end of an index of 1,000 new jobs; holds the one job again then."""
    program.hold(JOBS, event)
    try:
        return await _index(system)
    finally:
        program.hold(1, EVENT)
        await _index(system)


async def _index(system: System) -> float:
    async with grpc.aio.insecure_channel(system.endpoints_target) as channel:
        stub = EndpointsServiceStub(channel)
        started = time.perf_counter()
        begun = await stub.IndexEndpoint(
            pb.IndexEndpointRequest(slug=SLUG), metadata=system.metadata, timeout=CALL_TIMEOUT_S
        )
        await _ended(system, stub, begun.endpoint_index.id)
        return time.perf_counter() - started


async def _ended(system: System, stub: "EndpointsServiceAsyncStub", index_id: str) -> None:
    deadline = time.perf_counter() + DEADLINE_S
    while time.perf_counter() < deadline:
        index = (
            await stub.GetEndpointIndex(
                pb.GetEndpointIndexRequest(id=index_id),
                metadata=system.metadata,
                timeout=CALL_TIMEOUT_S,
            )
        ).endpoint_index
        if index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS and not index.failed_items:
            return
        if index.state not in (
            endpoint_pb2.EndpointIndex.STATE_PENDING,
            endpoint_pb2.EndpointIndex.STATE_STARTED,
        ):
            raise SystemExit(f"the index failed: {index}")
        await asyncio.sleep(0.05)
    raise SystemExit(f"the index {index_id} did not end in {DEADLINE_S:.0f} s")
