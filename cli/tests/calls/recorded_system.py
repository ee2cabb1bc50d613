"""Real servers of all services in this process, which remember what they were asked."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kongflow.endpoints.v1 import endpoints_service_pb2
from kongflow.events.v1 import (
    event_replays_service_pb2,
    event_schemas_service_pb2,
    events_service_pb2,
    resource_events_service_pb2,
)
from kongflow.jobs.v1 import jobs_service_pb2
from kongflow.runs.v1 import runs_service_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow.workerqueue.v1 import periodic_jobs_service_pb2, workerqueue_service_pb2
from kongflow_common.auth.principals import (
    EnvironmentScope,
    Principal,
    current_environment_or_none,
    current_principal,
)
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.server import GrpcService
from kongflow_common.testing.grpc_server import InProcessServer, in_process_server

SERVICES: tuple[ServiceDescriptor, ...] = (
    tenancy_service_pb2.DESCRIPTOR.services_by_name["TenancyService"],
    endpoints_service_pb2.DESCRIPTOR.services_by_name["EndpointsService"],
    jobs_service_pb2.DESCRIPTOR.services_by_name["JobsService"],
    events_service_pb2.DESCRIPTOR.services_by_name["EventsService"],
    event_schemas_service_pb2.DESCRIPTOR.services_by_name["EventSchemasService"],
    resource_events_service_pb2.DESCRIPTOR.services_by_name["ResourceEventsService"],
    event_replays_service_pb2.DESCRIPTOR.services_by_name["EventReplaysService"],
    runs_service_pb2.DESCRIPTOR.services_by_name["RunsService"],
    workerqueue_service_pb2.DESCRIPTOR.services_by_name["WorkerQueueService"],
    periodic_jobs_service_pb2.DESCRIPTOR.services_by_name["PeriodicJobsService"],
)
CONTEXTS = ("tenancy", "events", "jobs", "endpoints", "runs", "workerqueue")

Answer = Message | Exception | Callable[[Any], Message]
_Request = TypeVar("_Request", bound=Message)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ReceivedCall:
    """A call as it reached a service."""

    method: str
    request: Message
    principal: Principal
    environment: EnvironmentScope | None
    metadata: dict[str, str | bytes]
    seconds_left: float


class RecordingServicer:
    """Answers each method as prepared, otherwise with an empty message."""

    def __init__(self, service: ServiceDescriptor, system: "RecordedSystem") -> None:
        for method in service.methods:
            setattr(self, method.name, _handler(method, system))


def _handler(
    method: MethodDescriptor, system: "RecordedSystem"
) -> Callable[[Any, Any], Coroutine[Any, Any, Message] | AsyncIterator[Message]]:
    def note(request: Message, context: Any) -> None:
        system.calls.append(
            ReceivedCall(
                method.name,
                request,
                current_principal(),
                current_environment_or_none(),
                dict(context.invocation_metadata()),
                context.time_remaining() or 0.0,
            )
        )

    async def handle(request: Message, context: Any) -> Message:
        note(request, context)
        answer = system.answers.get(method.name)
        if answer is None:
            empty: Message = GetMessageClass(method.output_type)()
            return empty
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Message) else answer(request)

    async def handle_stream(request: Message, context: Any) -> AsyncIterator[Message]:
        note(request, context)
        answer = system.answers.get(method.name)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Message):
            yield answer
        elif answer is not None:
            yield answer(request)
        if system.streams_stay_open:
            await asyncio.Event().wait()

    return handle_stream if method.server_streaming else handle


class RecordedSystem:
    """The servers, in a thread of their own because commands wait for their answers."""

    def __init__(self) -> None:
        self.calls: list[ReceivedCall] = []
        self.answers: dict[str, Answer] = {}
        self.streams_stay_open = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers")
        self._stop: asyncio.Event | None = None
        self._ended: Future[None] | None = None
        self.address = ""
        self.environment_id = ""
        self.api_key = ""
        self.public_key = ""
        self.operator_token = ""

    def start(self) -> None:
        """Starts the servers and makes an environment, its keys and an operator."""
        self._thread.start()
        ready: Future[InProcessServer] = Future()
        self._ended = asyncio.run_coroutine_threadsafe(self._serve(ready), self._loop)
        server = ready.result(30)
        credentials = server.credentials
        environment = credentials.add_environment()
        self.environment_id = str(environment.environment_id)
        self.api_key = credentials.add_secret_key(environment)
        self.public_key = credentials.add_public_key(environment)
        self.operator_token = credentials.add_operator("*")
        self.address = server.server.listen

    def end(self) -> None:
        """Drains the servers."""
        assert self._stop is not None
        assert self._ended is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._ended.result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def forget(self) -> None:
        """Forgets calls and prepared answers."""
        self.calls.clear()
        self.answers.clear()
        self.streams_stay_open = False

    def only_call(self, method: str, kind: type[_Request]) -> _Request:
        """The request of the one call there was."""
        assert [call.method for call in self.calls] == [method]
        request = self.calls[0].request
        assert isinstance(request, kind)
        return request

    def requests(self, kind: type[_Request]) -> list[_Request]:
        """The requests of this type, in their order."""
        return [call.request for call in self.calls if isinstance(call.request, kind)]

    def write_connection_file(self, state_dir: Path, **changes: object) -> None:
        """Writes dev.json as `kongflow up` does."""
        state_dir.mkdir(parents=True, exist_ok=True)
        content = {
            "api_key": self.api_key,
            "public_key": self.public_key,
            "operator_token": self.operator_token,
            "grpc": dict.fromkeys(CONTEXTS, self.address),
            "http": None,
            "database_url": "",
            "redis_url": "",
            "pids": {},
            **changes,
        }
        (state_dir / "dev.json").write_text(json.dumps(content))

    async def _serve(self, ready: "Future[InProcessServer]") -> None:
        self._stop = asyncio.Event()
        services = [GrpcService(each, RecordingServicer(each, self)) for each in SERVICES]
        async with in_process_server(
            catalog=ErrorCatalog("events.kongflow", {}), client_services=services
        ) as server:
            ready.set_result(server)
            await self._stop.wait()
