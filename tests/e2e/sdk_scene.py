"""The program written with the published SDK, in an environment of its own."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import grpc

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import event_record_pb2
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow.runs.v1 import run_pb2
from kongflow.runs.v1 import runs_service_pb2 as runs_pb
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow.tenancy.v1 import environment_key_pb2, environment_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as tenancy_pb
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from kongflow_common.rpc.payload_mapping import from_payload
from tests.local_system import LocalSystem, poll_until
from tests.node_program import ROOT, NodeProgram, node_program

PROGRAM = ROOT / "tests" / "node" / "sdk_program" / "program.js"
PATH = "/api/trigger"
TIMEOUT = 20.0
PENDING = {
    run_pb2.Run.STATE_PENDING,
    run_pb2.Run.STATE_QUEUED,
    run_pb2.Run.STATE_STARTED,
    run_pb2.Run.STATE_EXECUTING,
}
NOTHING = object()
"""What a job returned that returned nothing: not even null."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its state, what it left, and what the program was asked and answered."""

    run: run_pb2.Run
    state: str
    output: Any
    told: dict[str, Any]
    answered: dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """An environment with what it belongs to, and its secret key."""

    environment: environment_pb2.Environment
    project: Any
    organization: Any
    key: str


@dataclass
class SdkScene:
    """A system, an environment in it, and the program that is registered there."""

    channels: dict[str, grpc.Channel]
    around: Surroundings
    program: NodeProgram
    slug: str
    endpoint_id: str = ""

    def call(self, stub: Callable[[grpc.Channel], Any], method: str, request: Any) -> Any:
        """A call with the environment's key."""
        context = type(request).DESCRIPTOR.full_name.split(".")[1]
        return getattr(stub(self.channels[context]), method)(
            request,
            metadata=(("authorization", f"Bearer {self.around.key}"),),
            timeout=TIMEOUT,
        )

    # the program

    def become(self, variant: str) -> None:
        """Has the program hold other jobs."""
        request = urllib.request.Request(f"{self.program.url}/variant/{variant}", method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            assert answer.status == 200

    def calls(self, action: str) -> list[dict[str, Any]]:
        """What the program was asked and what the SDK answered, oldest first."""
        with urllib.request.urlopen(f"{self.program.url}/calls", timeout=TIMEOUT) as answer:
            found = json.load(answer)
        return [call for call in found if call["action"] == action]

    # its index

    def register(self) -> endpoint_pb2.EndpointIndex:
        """Creates the endpoint; answers its first index, ended."""
        endpoint = endpoint_pb2.Endpoint(slug=self.slug, url=f"{self.program.url}{PATH}")
        request = endpoints_pb.CreateEndpointRequest(endpoint=endpoint)
        created = self.call(EndpointsServiceStub, "CreateEndpoint", request)
        self.endpoint_id = created.endpoint.id
        return self.index_end(created.endpoint_index.id)

    def index(self, variant: str) -> endpoint_pb2.EndpointIndex:
        """Has the program hold other jobs and be read anew; answers the index, ended."""
        self.become(variant)
        request = endpoints_pb.IndexEndpointRequest(id=self.endpoint_id)
        return self.index_end(
            self.call(EndpointsServiceStub, "IndexEndpoint", request).endpoint_index.id
        )

    def index_end(self, index_id: str) -> endpoint_pb2.EndpointIndex:
        """Waits for the end of an index."""
        found: list[endpoint_pb2.EndpointIndex] = []
        ends = {endpoint_pb2.EndpointIndex.STATE_SUCCESS, endpoint_pb2.EndpointIndex.STATE_FAILURE}

        def is_over() -> bool:
            request = endpoints_pb.GetEndpointIndexRequest(id=index_id)
            found[:] = [self.call(EndpointsServiceStub, "GetEndpointIndex", request).endpoint_index]
            return found[0].state in ends

        poll_until(is_over, seconds=30, what="the end of the index")
        return found[0]

    def items(self, index_id: str) -> dict[tuple[str, str], endpoint_pb2.EndpointIndexItem]:
        """What an index found, by kind and key."""
        request = endpoints_pb.ListEndpointIndexItemsRequest(
            endpoint_index_id=index_id, page_size=1000, view=endpoints_pb.ITEM_VIEW_FULL
        )
        kinds = endpoint_pb2.EndpointIndexItem.Kind
        return {
            (kinds.Name(item.kind).removeprefix("KIND_"), item.key): item
            for item in self.call(
                EndpointsServiceStub, "ListEndpointIndexItems", request
            ).endpoint_index_items
        }

    def job(self, slug: str) -> Any:
        return self.call(JobsServiceStub, "GetJob", jobs_pb.GetJobRequest(slug=slug)).job

    # events and runs

    def send(self, name: str, payload: Any, **more: Any) -> event_record_pb2.EventRecord:
        """Sends an event, `account_id` beside it; answers it once it is processed."""
        account_id = more.pop("account_id", "")
        record = event_record_pb2.EventRecord(
            name=name, event_id=str(uuid4()), payload=document(payload), **more
        )
        request = events_pb.SendEventRequest(event=record, account_id=account_id)
        sent = self.call(EventsServiceStub, "SendEvent", request).event_record
        return self.event(sent.id)

    def event(self, event_record_id: str) -> event_record_pb2.EventRecord:
        """An event, once it is processed."""
        found: list[event_record_pb2.EventRecord] = []

        def is_processed() -> bool:
            request = events_pb.GetEventRecordRequest(id=event_record_id)
            found[:] = [self.call(EventsServiceStub, "GetEventRecord", request).event_record]
            return found[0].HasField("processed_time")

        poll_until(is_processed, seconds=30, what="the event is processed")
        return found[0]

    def outcomes(self, event: event_record_pb2.EventRecord) -> dict[str, Outcome]:
        """How an event's runs ended, by job."""
        request = runs_pb.ListRunsRequest(filter=f'event_record_id = "{event.id}"')

        def runs() -> list[run_pb2.Run]:
            return list(self.call(RunsServiceStub, "ListRuns", request).runs)

        poll_until(lambda: len(runs()) == event.matched_count, seconds=30, what="its runs")
        ended = [self.outcome(run.id) for run in runs()]
        return {outcome.run.job_slug: outcome for outcome in ended}

    def ended(self, run_id: str) -> run_pb2.Run:
        """A run, once it has ended."""
        found: list[run_pb2.Run] = []

        def is_done() -> bool:
            request = runs_pb.GetRunRequest(id=run_id)
            found[:] = [self.call(RunsServiceStub, "GetRun", request).run]
            return found[0].state not in PENDING

        poll_until(is_done, seconds=30, what="the end of the run")
        return found[0]

    def outcome(self, run_id: str) -> Outcome:
        """How a run ended, and what the program was asked for it."""
        run = self.ended(run_id)
        asked = [call for call in self.calls("EXECUTE_JOB") if call["body"]["run"]["id"] == run_id]
        # Delivered once, as nothing failed on the way.
        assert len(asked) == 1, asked
        return Outcome(
            run=run,
            state=run_pb2.Run.State.Name(run.state).removeprefix("STATE_"),
            output=output_of(run),
            told=asked[0],
            answered=json.loads(asked[0]["answer"]),
        )

    def invoke(self, slug: str, payload: Any, **more: Any) -> Outcome:
        request = jobs_pb.InvokeJobRequest(job_slug=slug, payload=document(payload), **more)
        return self.outcome(self.call(JobsServiceStub, "InvokeJob", request).run_id)

    def test(self, slug: str, payload: Any) -> Outcome:
        request = jobs_pb.TestJobRequest(job_slug=slug, payload=document(payload))
        return self.outcome(self.call(JobsServiceStub, "TestJob", request).run_id)


def output_of(run: run_pb2.Run) -> Any:
    """What a run left."""
    output = from_payload(run.output, "output")
    return NOTHING if output is None else output.load()


def document(value: Any) -> Payload:
    return Payload(json=json.dumps(value).encode())


@contextmanager
def sdk_scene(system: LocalSystem, program: Path = PROGRAM, slug: str = "") -> Iterator[SdkScene]:
    """Runs the program with a new environment's key; it is not registered yet."""
    targets = system.connection()["grpc"]
    channels = {name: grpc.insecure_channel(target) for name, target in targets.items()}
    around = new_surroundings(system, channels["tenancy"])
    slug = slug or f"sdk-{uuid4().hex[:8]}"
    environment = {"TRIGGER_API_KEY": around.key, "PROGRAM_ID": slug, "PORT": "0"}
    try:
        with node_program(program, environment=environment) as running:
            yield SdkScene(channels, around, running, slug)
    finally:
        for channel in channels.values():
            channel.close()


def new_surroundings(system: LocalSystem, channel: grpc.Channel) -> Surroundings:
    """Creates an environment with a key in the system's project; the channel is tenancy's."""
    tenancy = TenancyServiceStub(channel)

    def call(method: str, request: Any) -> Any:
        return getattr(tenancy, method)(request, metadata=system.operator_metadata, timeout=TIMEOUT)

    project = call("ListProjects", tenancy_pb.ListProjectsRequest()).projects[0]
    organization = call(
        "GetOrganization", tenancy_pb.GetOrganizationRequest(id=project.organization_id)
    ).organization
    environment = call(
        "CreateEnvironment",
        tenancy_pb.CreateEnvironmentRequest(
            project_id=project.id,
            slug=f"sdk-{uuid4().hex[:8]}",
            type=environment_pb2.Environment.TYPE_DEVELOPMENT,
        ),
    ).environment
    key = call(
        "CreateEnvironmentKey",
        tenancy_pb.CreateEnvironmentKeyRequest(
            environment_id=environment.id, kind=environment_key_pb2.EnvironmentKey.KIND_SECRET
        ),
    ).key_text
    return Surroundings(environment, project, organization, cast("str", key))
