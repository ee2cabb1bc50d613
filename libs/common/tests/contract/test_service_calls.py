"""Calls of one service to another: identity, environment, trace, and how failures arrive."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from kongflow.tenancy.internal.v1 import principal_service_pb2 as tenancy_pb
from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as queue_pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.auth.principals import CallerKind, current_principal
from kongflow_common.errors import DependencyUnavailable, InvalidField, KongflowError, NotFound
from kongflow_common.outbox.limits import ConcurrencyLimit, JobLimits, LimitKey, RateLimit
from kongflow_common.outbox.message import (
    JobKeyMode,
    Operation,
    OutboxMessage,
    Priority,
    Uniqueness,
)
from kongflow_common.rpc.channel import RemoteError, ServiceCaller, open_channel
from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_common.rpc.server import GrpcService
from kongflow_common.rpc.tenancy_credentials import (
    TenancyCredentialLookup,
    TenancyCredentialResolver,
)
from kongflow_common.rpc.worker_queue_enqueuer import GrpcEnqueuer
from kongflow_common.testing.grpc_server import InProcessServer, ServiceKeys, in_process_server
from kongflow_common.tracing import current_trace, new_trace, use_trace


class CredentialNotFound(NotFound):
    """The credential was not found."""


TENANCY = ErrorCatalog(
    "tenancy.kongflow",
    {CredentialNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "CREDENTIAL_NOT_FOUND")},
)
WORKER_QUEUE = ErrorCatalog("workerqueue.kongflow", {})
SECRET, PUBLIC, OPERATOR, EXPIRING, STRANGE = (bytes([n]) * 32 for n in range(5))
ENVIRONMENT = tenancy_pb.EnvironmentContext(
    environment_id=str(uuid4()),
    project_id=str(uuid4()),
    organization_id=str(uuid4()),
    slug="dev",
    type="DEVELOPMENT",
    runs_enabled=True,
)


class PrincipalServicer:
    async def LookUpCredential(  # noqa: N802
        self, request: tenancy_pb.LookUpCredentialRequest, _context: object
    ) -> tenancy_pb.LookUpCredentialResponse:
        key = tenancy_pb.KeyPrincipal(key_id="k1", environment=ENVIRONMENT)
        if request.hash == SECRET:
            return tenancy_pb.LookUpCredentialResponse(key=key)
        if request.hash == EXPIRING:
            return tenancy_pb.LookUpCredentialResponse(key=key, expire_time=Timestamp(seconds=7))
        if request.hash == PUBLIC:
            key.public = True
            return tenancy_pb.LookUpCredentialResponse(key=key)
        if request.hash == OPERATOR:
            operator = tenancy_pb.OperatorPrincipal(operator_id="o1", name="ada", scopes=["a", "b"])
            return tenancy_pb.LookUpCredentialResponse(operator=operator)
        if request.hash == STRANGE:
            return tenancy_pb.LookUpCredentialResponse()
        raise CredentialNotFound

    async def DescribeEnvironment(  # noqa: N802
        self, request: tenancy_pb.DescribeEnvironmentRequest, _context: object
    ) -> tenancy_pb.DescribeEnvironmentResponse:
        raise NotImplementedError

    async def RevealSecretKey(  # noqa: N802
        self, request: tenancy_pb.RevealSecretKeyRequest, _context: object
    ) -> tenancy_pb.RevealSecretKeyResponse:
        raise NotImplementedError

    async def LookUpEnvironment(  # noqa: N802
        self, request: tenancy_pb.LookUpEnvironmentRequest, _context: object
    ) -> tenancy_pb.LookUpEnvironmentResponse:
        if request.environment_id != ENVIRONMENT.environment_id:
            raise NotFound
        return tenancy_pb.LookUpEnvironmentResponse(environment=ENVIRONMENT)


def tenancy_service() -> GrpcService:
    descriptor = tenancy_pb.DESCRIPTOR.services_by_name["PrincipalService"]
    return GrpcService(descriptor, PrincipalServicer())


class TestTenancyCredentials:
    async def test_what_tenancy_says(self) -> None:
        async with in_process_server(catalog=TENANCY, tasks_services=[tenancy_service()]) as server:
            resolver = TenancyCredentialResolver(server.caller("events"))
            secret = await resolver.principal(SECRET)
            public = await resolver.principal(PUBLIC)
            operator = await resolver.principal(OPERATOR)
            assert secret is not None
            assert (secret.kind, secret.key_id) == (CallerKind.SECRET_KEY, "k1")
            assert secret.environment is not None
            assert secret.environment.environment_id == UUID(ENVIRONMENT.environment_id)
            assert secret.environment.project_id == UUID(ENVIRONMENT.project_id)
            assert secret.environment.organization_id == UUID(ENVIRONMENT.organization_id)
            assert secret.environment.runs_enabled
            assert public is not None
            assert public.kind is CallerKind.PUBLIC_KEY
            assert operator is not None
            assert (operator.name, operator.scopes) == ("ada", frozenset({"a", "b"}))
            assert await resolver.principal(b"x" * 32) is None
            assert await resolver.principal(STRANGE) is None
            assert await resolver.principal(EXPIRING) is None
            environment = await resolver.environment(UUID(ENVIRONMENT.environment_id))
            assert environment == secret.environment
            assert await resolver.environment(uuid4()) is None
            await resolver.close()

    async def test_when_a_credential_ends(self) -> None:
        async with in_process_server(catalog=TENANCY, tasks_services=[tenancy_service()]) as server:
            lookup = TenancyCredentialLookup(server.caller("events"))
            credential = await lookup.look_up_credential(EXPIRING)
            assert credential is not None
            assert credential.expires_at == 7.0

    async def test_tenancy_away(self) -> None:
        async with open_channel("127.0.0.1:1") as channel:
            caller = ServiceCaller(channel, "tenancy", ServiceKeys().signer("events"))
            with pytest.raises(DependencyUnavailable) as caught:
                await TenancyCredentialResolver(caller).principal(SECRET)
            assert caught.value.name == "tenancy"


class EnqueueServicer:
    """Answers what the test put into `results`, or raises `error`."""

    def __init__(self) -> None:
        self.results: list[queue_pb.EnqueueResult] = []
        self.error: Exception | None = None
        self.requests: list[queue_pb.EnqueueJobsRequest] = []
        self.callers: list[tuple[str, str]] = []
        self.hold = False

    async def GetConsumedTypes(  # noqa: N802
        self, _request: queue_pb.GetConsumedTypesRequest, _context: object
    ) -> queue_pb.GetConsumedTypesResponse:
        return queue_pb.GetConsumedTypesResponse()

    async def EnqueueJobs(  # noqa: N802
        self, request: queue_pb.EnqueueJobsRequest, _context: object
    ) -> queue_pb.EnqueueJobsResponse:
        self.requests.append(request)
        trace = current_trace()
        self.callers.append((current_principal().name, trace.trace_id if trace else ""))
        if self.hold:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return queue_pb.EnqueueJobsResponse(results=self.results)


@pytest.fixture
def queue() -> EnqueueServicer:
    return EnqueueServicer()


@pytest.fixture
async def queue_server(queue: EnqueueServicer):  # type: ignore[no-untyped-def]
    descriptor = queue_pb.DESCRIPTOR.services_by_name["EnqueueService"]
    async with in_process_server(
        catalog=WORKER_QUEUE, tasks_services=[GrpcService(descriptor, queue)]
    ) as server:
        yield server


class TestServiceCaller:
    async def test_identity_and_trace_travel(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        caller = queue_server.caller("events")
        stub = EnqueueServiceStub(caller.channel)
        trace = new_trace()
        with use_trace(trace):
            await caller.call(stub.EnqueueJobs, queue_pb.EnqueueJobsRequest(), timeout=5)
        assert queue.callers == [("events", trace.trace_id)]

    async def test_a_refusal_keeps_its_details(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        queue.error = InvalidField("commands", "are odd")
        caller = queue_server.caller("events")
        stub = EnqueueServiceStub(caller.channel)
        with pytest.raises(RemoteError) as caught:
            await caller.call(stub.EnqueueJobs, queue_pb.EnqueueJobsRequest(), timeout=5)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.reason == "FIELD_INVALID"
        assert caught.value.domain == "workerqueue.kongflow"
        assert not isinstance(caught.value, KongflowError)

    async def test_no_answer_in_time_is_a_dependency_away(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        queue.hold = True
        caller = queue_server.caller("events")
        stub = EnqueueServiceStub(caller.channel)
        with pytest.raises(DependencyUnavailable) as caught:
            await caller.call(stub.EnqueueJobs, queue_pb.EnqueueJobsRequest(), timeout=0.1)
        assert caught.value.name == "workerqueue"


class TestEnqueuer:
    async def test_a_message_with_everything(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        queue.results = [queue_pb.EnqueueResult(queued_job_id="j1")]
        environment_id = uuid4()
        message = OutboxMessage.enqueue(
            "deliverEvent",
            b'{"eventRecordId":"e"}',
            environment_id=environment_id,
            queue="events",
            job_key="event:1",
            job_key_mode=JobKeyMode.PRESERVE_RUN_TIME,
            generation=3,
            run_at=datetime(2030, 1, 1, tzinfo=UTC),
            priority=Priority.LOW,
            max_attempts=6,
            tags=("a", "b"),
            metadata={"n": 1, "deep": {"list": [True, None]}},
            unique=Uniqueness(by_args=True, args=("eventRecordId",)),
            limits=JobLimits(
                serial=LimitKey("line"),
                concurrency=ConcurrencyLimit(LimitKey(args=("eventRecordId",)), 2),
                rate=RateLimit(LimitKey("mail"), 10, timedelta(seconds=90), burst=3),
            ),
        )
        (outcome,) = await GrpcEnqueuer(queue_server.caller("events")).enqueue([message])
        assert (outcome.queued_job_id, outcome.refusal) == ("j1", None)
        (command,) = queue.requests[0].commands
        assert command.outbox_id == str(message.id)
        assert command.operation == queue_pb.EnqueueCommand.OPERATION_ENQUEUE
        assert (command.kind, command.args) == ("deliverEvent", b'{"eventRecordId":"e"}')
        assert (command.queue, command.job_key) == ("events", "event:1")
        assert command.job_key_mode == queue_pb.EnqueueCommand.JOB_KEY_MODE_PRESERVE_RUN_TIME
        assert (command.generation, command.max_attempts) == (3, 6)
        assert command.run_time == Timestamp(seconds=1_893_456_000)
        assert command.priority == job_options_pb2.PRIORITY_LOW
        assert list(command.tags) == ["a", "b"]
        assert command.metadata["deep"]["list"][0] is True  # type: ignore[index]
        assert command.environment_id == str(environment_id)
        assert command.unique == job_options_pb2.Uniqueness(by_args=True, args=["eventRecordId"])
        assert command.serial == job_options_pb2.LimitKey(key="line")
        assert command.concurrency == job_options_pb2.ConcurrencyLimit(
            key=job_options_pb2.LimitKey(args=["eventRecordId"]), max_running=2
        )
        assert command.rate == job_options_pb2.RateLimit(
            key=job_options_pb2.LimitKey(key="mail"),
            count=10,
            period=Duration(seconds=90),
            burst=3,
        )

    async def test_a_rule_of_its_own_and_a_debounced_key(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        queue.results = [queue_pb.EnqueueResult(queued_job_id="j1")]
        message = OutboxMessage.enqueue(
            "deliverEvent",
            b"{}",
            environment_id=None,
            job_key="event:1",
            delay=timedelta(seconds=5),
            longest_wait=timedelta(minutes=1),
            unique=Uniqueness(
                by_args=False,
                by_queue=True,
                by_kind=True,
                window=timedelta(minutes=15),
                states=("available", "scheduled", "running", "retryable", "completed"),
            ),
        )
        await GrpcEnqueuer(queue_server.caller("events")).enqueue([message])
        (command,) = queue.requests[0].commands
        assert (command.delay, command.longest_wait) == (Duration(seconds=5), Duration(seconds=60))
        assert not command.HasField("run_time")
        rule = job_options_pb2.Uniqueness
        assert command.unique == rule(
            by_queue=True,
            by_kind=True,
            window=Duration(seconds=900),
            states=[
                rule.STATE_AVAILABLE,
                rule.STATE_SCHEDULED,
                rule.STATE_RUNNING,
                rule.STATE_RETRYABLE,
                rule.STATE_COMPLETED,
            ],
        )

    async def test_a_removal(self, queue: EnqueueServicer, queue_server: InProcessServer) -> None:
        queue.results = [queue_pb.EnqueueResult()]
        message = OutboxMessage.remove("deliverEvent", "event:1", environment_id=None, generation=4)
        await GrpcEnqueuer(queue_server.caller("events")).enqueue([message])
        (command,) = queue.requests[0].commands
        assert command.operation == queue_pb.EnqueueCommand.OPERATION_REMOVE
        assert (command.job_key, command.generation) == ("event:1", 4)
        assert not command.HasField("run_time")
        assert not command.HasField("unique")

    async def test_outcomes_in_their_order(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        refused = status_pb2.Status(code=3, message="the queue is not known")
        refused.details.add().Pack(
            error_details_pb2.ErrorInfo(reason="UNKNOWN_QUEUE", metadata={"queue": "evnts"})
        )
        queue.results = [
            queue_pb.EnqueueResult(queued_job_id="j1"),
            queue_pb.EnqueueResult(status=refused),
            queue_pb.EnqueueResult(queued_job_id="j0", unique_skipped_as_duplicate=True),
            queue_pb.EnqueueResult(status=status_pb2.Status(code=99)),
        ]
        messages = [OutboxMessage.enqueue("k", b"{}", environment_id=None) for _ in range(4)]
        first, second, third, fourth = await GrpcEnqueuer(queue_server.caller("events")).enqueue(
            messages
        )
        assert first.queued_job_id == "j1"
        assert second.refusal is not None
        assert (second.refusal.code, second.refusal.reason) == ("INVALID_ARGUMENT", "UNKNOWN_QUEUE")
        assert second.refusal.metadata == {"queue": "evnts"}
        assert third.unique_skipped_as_duplicate
        assert fourth.refusal is not None
        assert fourth.refusal.code == "UNKNOWN"

    async def test_nothing_asks_nobody(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        assert await GrpcEnqueuer(queue_server.caller("events")).enqueue([]) == []
        assert queue.requests == []

    async def test_a_worker_queue_that_does_not_listen_is_away(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        stranger = ServiceKeys().signer("events")
        caller = ServiceCaller(queue_server.tasks_channel, "workerqueue", stranger)
        message = OutboxMessage.enqueue("k", b"{}", environment_id=None)
        with pytest.raises(DependencyUnavailable):
            await GrpcEnqueuer(caller).enqueue([message])
        assert queue.requests == []

    async def test_an_answer_of_another_length_is_no_answer(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        message = OutboxMessage.enqueue("k", b"{}", environment_id=None)
        with pytest.raises(DependencyUnavailable):
            await GrpcEnqueuer(queue_server.caller("events")).enqueue([message])

    async def test_what_was_sent_is_wrong(
        self, queue: EnqueueServicer, queue_server: InProcessServer
    ) -> None:
        queue.error = InvalidField("commands[0].kind", "is required")
        message = OutboxMessage(id=uuid4(), operation=Operation.ENQUEUE, kind="")
        with pytest.raises(RemoteError) as caught:
            await GrpcEnqueuer(queue_server.caller("events")).enqueue([message])
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
