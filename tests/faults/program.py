"""The program that the campaigns' events start: it counts what it does for each event."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from tests.e2e.changing_program import ChangingProgram, Described, job, served
from tests.local_system import LocalSystem, poll_until

EVENT_NAME = "fault.order"
TIMEOUT_SECONDS = 20.0


@dataclass
class CountingProgram(ChangingProgram):
    """Its job's side effect is a count by event id."""

    effects: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, action: str, body: bytes) -> Described:
        """Counts executions; the output names the event."""
        if action != "EXECUTE_JOB":
            return super().answer(action, body)
        event_id = json.loads(body)["event"]["id"]
        with self._lock:
            self.effects[event_id] += 1
        return {"status": "SUCCESS", "output": {"eventId": event_id}}


@contextmanager
def counting_program(system: LocalSystem) -> Iterator[CountingProgram]:
    """Serves the program, and has the system index it."""
    jobs = [job("fault-job", EVENT_NAME)]
    with served(CountingProgram("fault-program", jobs)) as program:
        _register(system, program)
        yield program


def _register(system: LocalSystem, program: CountingProgram) -> None:
    with grpc.insecure_channel(system.target("endpoints")) as channel:
        stub = EndpointsServiceStub(channel)
        created = stub.CreateEndpoint(
            pb.CreateEndpointRequest(
                endpoint=endpoint_pb2.Endpoint(slug=program.slug, url=program.url)
            ),
            metadata=system.metadata,
            timeout=TIMEOUT_SECONDS,
        )

        def is_indexed() -> bool:
            index = stub.GetEndpointIndex(
                pb.GetEndpointIndexRequest(id=created.endpoint_index.id),
                metadata=system.metadata,
                timeout=TIMEOUT_SECONDS,
            ).endpoint_index
            if index.state == endpoint_pb2.EndpointIndex.STATE_FAILURE:
                raise RuntimeError(f"the program was not indexed: {index}")
            return bool(index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS)

        poll_until(is_indexed, seconds=60, what="the program is indexed")
