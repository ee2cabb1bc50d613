"""A URL is called back once with an event, over a running system."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from uuid import uuid4

import grpc
import pytest

from kongflow.events.v1 import event_record_pb2
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from tests.local_system import LocalSystem, poll_until

pytestmark = pytest.mark.e2e

TIMEOUT = 20.0


@pytest.fixture
def told() -> Iterator[tuple[str, "Queue[dict[str, Any]]"]]:
    """A URL, and what it is told; it fails the first time."""
    received: Queue[dict[str, Any]] = Queue()
    statuses = [503]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put(json.loads(body))
            self.send_response(statuses.pop() if statuses else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/callback", received
    server.shutdown()
    thread.join(TIMEOUT)
    server.server_close()


def test_a_url_is_told_of_one_event_of_many_after_a_failure(
    system: LocalSystem, told: tuple[str, "Queue[dict[str, Any]]"]
) -> None:
    url, received = told
    name = f"waited.{uuid4()}"
    with grpc.insecure_channel(system.connection()["grpc"]["events"]) as channel:
        stub = EventsServiceStub(channel)
        created = stub.CreateEphemeralDispatcher(
            pb.CreateEphemeralDispatcherRequest(url=url, event_names=[name]),
            metadata=system.metadata,
            timeout=TIMEOUT,
        )
        sent = [
            stub.SendEvent(
                pb.SendEventRequest(event=event_record_pb2.EventRecord(name=name)),
                metadata=system.metadata,
                timeout=TIMEOUT,
            ).event_record.event_id
            for _ in range(5)
        ]
        first, second = (received.get(timeout=TIMEOUT) for _ in range(2))
        assert first == second
        assert first["id"] in sent
        assert first["name"] == name

        def is_gone() -> bool:
            page = stub.ListEventDispatchers(
                pb.ListEventDispatchersRequest(filter=f'dispatchable_id = "{url}"'),
                metadata=system.metadata,
                timeout=TIMEOUT,
            )
            return not page.event_dispatchers

        assert created.created
        poll_until(is_gone, seconds=20, what="the end of the dispatcher")
    assert received.empty()
