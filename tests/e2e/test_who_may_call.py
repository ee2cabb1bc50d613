"""Who may call what, over every rpc of a running system."""

from uuid import uuid4

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kongflow.common.v1 import access_pb2
from kongflow.common.v1.payload_pb2 import Payload
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import event_dispatcher_pb2, event_record_pb2, event_schema_pb2
from kongflow.events.v1 import event_replays_service_pb2 as replays_pb
from kongflow.events.v1 import event_schemas_service_pb2 as schemas_pb
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceStub
from kongflow.events.v1.event_schemas_service_pb2_grpc import EventSchemasServiceStub
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow.runs.v1 import runs_service_pb2 as runs_pb
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow.tenancy.v1 import environment_key_pb2, environment_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as tenancy_pb
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from tests.e2e.every_method import Method, every_method
from tests.e2e.strangers import DENIED, NOT_FOUND, OWN, STRANGERS, Metadata, Tenant
from tests.example_endpoint import example_endpoint
from tests.local_system import LocalSystem, poll_until

pytestmark = pytest.mark.e2e

TIMEOUT = 20.0
METHODS = every_method()
CLIENT_METHODS = [method for method in METHODS if not method.for_services_only]
PUBLIC_METHODS = {"EventsService.GetEventRecord", "RunsService.GetRun"}


@pytest.fixture(scope="module")
def owner(system: LocalSystem, channels: dict[str, grpc.Channel]) -> Tenant:
    """The environment that the system began with, with something of every kind in it."""
    events = EventsServiceStub(channels["events"])
    metadata = system.metadata
    name = f"owned.{uuid4()}"
    dispatcher = events.UpsertEventDispatcher(
        events_pb.UpsertEventDispatcherRequest(
            event_dispatcher=event_dispatcher_pb2.EventDispatcher(
                dispatchable_id=str(uuid4()),
                event_names=[name],
                dispatchable=event_dispatcher_pb2.Dispatchable(
                    job_version=event_dispatcher_pb2.JobVersionDispatchable(job_id=str(uuid4()))
                ),
            )
        ),
        metadata=metadata,
        timeout=TIMEOUT,
    ).event_dispatcher
    event_id = str(uuid4())
    event = events.SendEvent(
        events_pb.SendEventRequest(
            event=event_record_pb2.EventRecord(name=name, event_id=event_id),
            # An account of its own, by the same name.
            account_id=event_id,
        ),
        metadata=metadata,
        timeout=TIMEOUT,
    ).event_record
    schema_id = register_schema(name, metadata, channels)
    runs: list[str] = []

    def has_run() -> bool:
        page = RunsServiceStub(channels["runs"]).ListRuns(
            runs_pb.ListRunsRequest(filter=f'event_record_id = "{event.id}"'),
            metadata=metadata,
            timeout=TIMEOUT,
        )
        runs.extend(run.id for run in page.runs)
        return bool(runs)

    poll_until(has_run, seconds=30, what="a run of the event")
    endpoint_id, index_id = register(system, channels)
    job = (
        JobsServiceStub(channels["jobs"])
        .GetJob(jobs_pb.GetJobRequest(slug="audit-order"), metadata=metadata, timeout=TIMEOUT)
        .job
    )
    return Tenant(
        metadata,
        event.event_id,
        event.id,
        dispatcher.dispatchable_id,
        dispatcher.id,
        runs[0],
        endpoint_id,
        index_id,
        job.id,
        job.latest_version.id,
        name,
        schema_id,
        begin_replay(name, metadata, channels),
    )


def begin_replay(name: str, metadata: Metadata, channels: dict[str, grpc.Channel]) -> str:
    """Replays the events of a name; answers the replay's id."""
    answer = EventReplaysServiceStub(channels["events"]).ReplayEvents(
        replays_pb.ReplayEventsRequest(filter=f'name = "{name}"'),
        metadata=metadata,
        timeout=TIMEOUT,
    )
    return answer.event_replay.id


def register_schema(name: str, metadata: Metadata, channels: dict[str, grpc.Channel]) -> str:
    """Has a schema for the events of a name; answers its id."""
    answer = EventSchemasServiceStub(channels["events"]).RegisterEventSchema(
        schemas_pb.RegisterEventSchemaRequest(
            event_schema=event_schema_pb2.EventSchema(
                event_name=name, schema=Payload(json=b'{"type": "object"}')
            )
        ),
        metadata=metadata,
        timeout=TIMEOUT,
    )
    return answer.event_schema.id


def register(system: LocalSystem, channels: dict[str, grpc.Channel]) -> tuple[str, str]:
    """Has the example's jobs registered; answers the ids of its endpoint and its index."""
    stub = EndpointsServiceStub(channels["endpoints"])
    with example_endpoint(system.connection()["api_key"]) as url:
        created = stub.CreateEndpoint(
            endpoints_pb.CreateEndpointRequest(
                endpoint=endpoint_pb2.Endpoint(slug="python-example", url=url)
            ),
            metadata=system.metadata,
            timeout=TIMEOUT,
        )
        index_id = created.endpoint_index.id

        def is_done() -> bool:
            index = stub.GetEndpointIndex(
                endpoints_pb.GetEndpointIndexRequest(id=index_id),
                metadata=system.metadata,
                timeout=TIMEOUT,
            ).endpoint_index
            assert index.state != endpoint_pb2.EndpointIndex.STATE_FAILURE, index
            return index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS

        poll_until(is_done, seconds=30, what="the end of the index")
    return created.endpoint.id, index_id


@pytest.fixture(scope="module")
def stranger(system: LocalSystem, channels: dict[str, grpc.Channel]) -> Metadata:
    """A secret key of another environment of the same project."""
    tenancy = TenancyServiceStub(channels["tenancy"])
    projects = tenancy.ListProjects(
        tenancy_pb.ListProjectsRequest(), metadata=system.operator_metadata, timeout=TIMEOUT
    ).projects
    environment = tenancy.CreateEnvironment(
        tenancy_pb.CreateEnvironmentRequest(
            project_id=projects[0].id,
            slug=f"other-{uuid4().hex[:8]}",
            type=environment_pb2.Environment.TYPE_STAGING,
        ),
        metadata=system.operator_metadata,
        timeout=TIMEOUT,
    ).environment
    key = tenancy.CreateEnvironmentKey(
        tenancy_pb.CreateEnvironmentKeyRequest(
            environment_id=environment.id, kind=environment_key_pb2.EnvironmentKey.KIND_SECRET
        ),
        metadata=system.operator_metadata,
        timeout=TIMEOUT,
    )
    return (("authorization", f"Bearer {key.key_text}"),)


def code_of(
    method: Method, channels: dict[str, grpc.Channel], request: Message, metadata: Metadata
) -> grpc.StatusCode:
    """What a call answers; OK when it is not refused."""
    try:
        method.call(channels[method.context])(request, metadata=metadata, timeout=TIMEOUT)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def empty_request(method: Method) -> Message:
    """A request that says nothing."""
    return GetMessageClass(method.descriptor.input_type)()


@pytest.mark.parametrize("method", CLIENT_METHODS, ids=str)
def test_without_a_key_nothing_is_answered(
    method: Method, channels: dict[str, grpc.Channel]
) -> None:
    request = empty_request(method)
    assert code_of(method, channels, request, ()) is grpc.StatusCode.UNAUTHENTICATED
    unknown = (("authorization", "Bearer tr_dev_AAAAAAAAAAAAAAAAAAAA"),)
    assert code_of(method, channels, request, unknown) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", CLIENT_METHODS, ids=str)
def test_a_public_key_reads_single_events_and_runs_only(
    method: Method, channels: dict[str, grpc.Channel], system: LocalSystem
) -> None:
    metadata = (("authorization", f"Bearer {system.connection()['public_key']}"),)
    code = code_of(method, channels, empty_request(method), metadata)
    expected = (
        grpc.StatusCode.INVALID_ARGUMENT
        if str(method) in PUBLIC_METHODS
        else grpc.StatusCode.PERMISSION_DENIED
    )
    assert code is expected


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.for_services_only], ids=str
)
def test_a_method_for_services_is_not_there_for_clients(
    method: Method, channels: dict[str, grpc.Channel], system: LocalSystem
) -> None:
    code = code_of(method, channels, empty_request(method), system.metadata)
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert list(method.access.callers) == [access_pb2.CALLER_SERVICE]


# These would leave the owner without what the others ask for.
DESTRUCTIVE = frozenset(
    {"DeleteEndpoint", "DeleteEventDispatcher", "DeleteEventSchema", "DeleteExternalAccount"}
)


@pytest.mark.parametrize("method", CLIENT_METHODS, ids=str)
def test_a_stranger_sees_and_changes_nothing(
    method: Method, channels: dict[str, grpc.Channel], owner: Tenant, stranger: Metadata
) -> None:
    if access_pb2.CALLER_SECRET_KEY not in method.access.callers:
        assert code_of(method, channels, empty_request(method), stranger) is DENIED
        return
    assert str(method) in STRANGERS, f"say in STRANGERS what a stranger gets from {method}"
    expected, request_for = STRANGERS[str(method)]
    request = request_for(owner)
    if expected is not OWN:
        if method.descriptor.name not in DESTRUCTIVE:
            assert code_of(method, channels, request, owner.metadata) is not NOT_FOUND
        assert code_of(method, channels, request, stranger) is expected
        return
    answer = method.call(channels[method.context])(request, metadata=stranger, timeout=TIMEOUT)
    text = str(answer)
    for kind in (
        "event_record",
        "dispatcher",
        "run",
        "endpoint",
        "endpoint_index",
        "version",
        "schema",
        "replay",
    ):
        assert getattr(owner, f"{kind}_id") not in text


def test_the_owner_still_has_what_it_had(channels: dict[str, grpc.Channel], owner: Tenant) -> None:
    events = EventsServiceStub(channels["events"])
    dispatcher = events.GetEventDispatcher(
        events_pb.GetEventDispatcherRequest(dispatchable_id=owner.dispatchable_id),
        metadata=owner.metadata,
        timeout=TIMEOUT,
    ).event_dispatcher
    assert dispatcher.id == owner.dispatcher_id
    record = events.GetEventRecord(
        events_pb.GetEventRecordRequest(event_id=owner.event_id),
        metadata=owner.metadata,
        timeout=TIMEOUT,
    ).event_record
    assert record.id == owner.event_record_id
    assert record.state == event_record_pb2.EventRecord.STATE_DELIVERED
