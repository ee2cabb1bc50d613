"""A target that does nothing, made of its descriptor set alone: `target FILE PORT COUNT`.

It counts the jobs, and says when there were COUNT of them.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from bench.queue.program import OnJob, Tally

SERVICE = "kongflow.bench.v1.NoopTasksService"


def handler(descriptors: Path, on_job: OnJob) -> grpc.GenericRpcHandler:
    """The methods of the service."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        pool.Add(file)
    methods = pool.FindServiceByName(SERVICE).methods_by_name

    async def one(request: Any, _context: object) -> Any:
        on_job(int(request.sent or 0))
        return done

    async def many(request: Any, _context: object) -> Any:
        for each in request.requests:
            on_job(int(each.sent or 0))
        response = batch_response()
        for _ in request.requests:
            response.results.add()
        return response

    done = GetMessageClass(methods["Noop"].output_type)()
    batch_response: Any = GetMessageClass(methods["BatchNoop"].output_type)
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                many if name == "BatchNoop" else one,
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            for name, method in methods.items()
        },
    )


async def serve(descriptors: Path, port: int, count: int) -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            # Workers ask every 20 seconds whether a silent target is still there.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ]
    )
    server.add_generic_rpc_handlers((handler(descriptors, Tally(count).note),))
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
