"""Batches of a target known by its descriptor set alone: envelopes, and an answer for each job."""

from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest
from grpc_tools import protoc

from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.catalogue.catalogue import kinds_of_descriptor_set
from kongflow_workerqueue.catalogue.kind import CallShape, Kind
from kongflow_workerqueue.domain.states import Priority
from services.workerqueue.tests.worker.queue_under_test import TRACEPARENT, QueueUnderTest, running

ROOT = Path(__file__).parents[4]
KIND = "warehouse.reserveStock"


class Warehouse:
    """A server with the example's methods, of messages that only its descriptor set knows."""

    def __init__(self, kind: Kind) -> None:
        assert kind.batch is not None
        self.batches: list[Any] = []
        self.singles: list[Any] = []
        self._batch = kind.batch
        self._server = grpc.aio.server()
        methods = {
            "ReserveStock": _handler(self._reserve, kind.unary),
            "BatchReserveStock": _handler(self._reserve_all, kind.batch),
        }
        service = kind.unary.path.split("/")[1]
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, methods),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._single = kind.unary

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    async def _reserve(self, request: Any, _context: Any) -> Any:
        self.singles.append(request)
        return self._single.response_class()

    async def _reserve_all(self, request: Any, _context: Any) -> Any:
        self.batches.append(request)
        answer: Any = self._batch.response_class()
        for each, envelope in zip(request.requests, request.envelopes, strict=True):
            result = answer.results.add()
            if each.sku == "lamp" and envelope.fencing_token == 1:
                result.snooze.FromMilliseconds(200)
        return answer


@pytest.fixture
def descriptor_set(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.binpb"
    protos = ROOT / "examples" / "node-target" / "protos"
    arguments = [
        "protoc",
        f"-I{protos}",
        f"-I{ROOT / 'protos'}",
        f"-I{ROOT / 'third_party' / 'googleapis'}",
        f"-I{resources.files('grpc_tools') / '_proto'}",
        "--include_imports",
        f"--descriptor_set_out={path}",
        "warehouse/tasks/v1/warehouse_tasks_service.proto",
    ]
    assert protoc.main(arguments) == 0
    return path


@pytest.fixture
async def warehouse(descriptor_set: Path) -> AsyncIterator[Warehouse]:
    kinds = {kind.kind: kind for kind in kinds_of_descriptor_set("warehouse", descriptor_set)}
    server = Warehouse(kinds[KIND])
    await server.start()
    yield server
    await server.stop()


async def test_its_batches_carry_envelopes_and_answer_for_each_job(
    queue: QueueUnderTest, warehouse: Warehouse, descriptor_set: Path
) -> None:
    environment = uuid4()
    jobs = [
        NewJob(
            id=new_id(),
            kind=KIND,
            args=orjson.dumps({"orderId": f"o-{n}", "sku": "lamp" if n % 2 else "chair"}),
            queue="default",
            priority=Priority.NORMAL,
            max_attempts=3,
            environment_id=environment,
            traceparent=TRACEPARENT,
        )
        for n in range(40)
    ]
    await queue.enqueue(jobs)
    settings = queue.settings(
        {"warehouse": f"127.0.0.1:{warehouse.port}"},
        task_descriptor_sets={"warehouse": descriptor_set},
    )
    async with running(settings):
        await eventually(lambda: queue.all_completed(40))
    first = [
        envelope
        for batch in warehouse.batches
        for envelope in batch.envelopes
        if envelope.fencing_token == 1
    ]
    assert {envelope.queued_job_id for envelope in first} == {str(job.id) for job in jobs}
    for envelope in first:
        assert envelope.attempt == 1
        assert envelope.environment_id == str(environment)
        assert envelope.deadline_time.ToMicroseconds() > 0
        assert envelope.traceparent == TRACEPARENT
    # No attempt was spent on what was too early.
    for job in jobs:
        assert (await queue.row(job.id))["attempt"] == 1


def _handler(behaviour: Any, shape: CallShape) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=shape.request_class.FromString,
        response_serializer=shape.response_class.SerializeToString,
    )
