"""Operators with the scope, and nobody else, call TenancyService; services alone ask who calls."""

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from kongflow.common.v1 import access_pb2
from kongflow.tenancy.internal.v1 import principal_service_pb2 as internal_pb
from kongflow.tenancy.v1 import environment_key_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import Refusal, refusal
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext

CODE = grpc.StatusCode
TENANCY = pb.DESCRIPTOR.services_by_name["TenancyService"].methods
PRINCIPALS = internal_pb.DESCRIPTOR.services_by_name["PrincipalService"].methods
Metadata = tuple[tuple[str, str], ...]


async def called(
    channel: grpc.aio.Channel, method: MethodDescriptor, metadata: Metadata
) -> Refusal | None:
    """Calls a method with an empty request; how it was refused, or None when it was not."""
    request = message_factory.GetMessageClass(method.input_type)()
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=Message.SerializeToString,
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    try:
        await call(request, metadata=metadata, timeout=TIMEOUT)
    except grpc.aio.AioRpcError as error:
        refused = Refusal()
        refused.set(error)
        return refused
    return None


def writes(method: MethodDescriptor) -> bool:
    scope = method.GetOptions().Extensions[access_pb2.access].operator_scope
    assert scope in {"tenancy:read", "tenancy:write"}
    return bool(scope == "tenancy:write")


@pytest.fixture
async def strangers(context: TenancyContext) -> dict[str, Metadata]:
    """The metadata of callers who may not call TenancyService."""
    environment = await context.environment()
    secret = await context.key(environment.id)
    public = await context.key(environment.id, environment_key_pb2.EnvironmentKey.KIND_PUBLIC)
    return {
        "secret key": bearer(secret.key_text),
        "public key": bearer(public.key_text),
        "service": bearer(context.server.service_token("events")),
    }


def test_writes_need_the_scope_to_write() -> None:
    assert {method.name for method in TENANCY if writes(method)} == {
        "CreateOrganization",
        "UpdateOrganization",
        "CreateProject",
        "CreateEnvironment",
        "DeleteEnvironment",
        "DeleteProject",
        "CreateEnvironmentKey",
        "RotateEnvironmentKey",
        "RevokeEnvironmentKey",
    }


async def test_keys_and_services_call_no_method_of_it(
    context: TenancyContext, strangers: dict[str, Metadata]
) -> None:
    for method in TENANCY:
        for who, metadata in strangers.items():
            refused = await called(context.server.channel, method, metadata)
            assert refused is not None, (method.name, who)
            assert refused.code is CODE.PERMISSION_DENIED, (method.name, who)
            assert refused.reason == "CALLER_NOT_ALLOWED", (method.name, who)


async def test_an_operator_calls_what_the_scopes_allow(context: TenancyContext) -> None:
    reader = bearer(await context.stored.add_operator("reader", "tenancy:read"))
    writer = bearer(await context.stored.add_operator("writer", "tenancy:write"))
    other = bearer(await context.stored.add_operator("other", "events:read", "events:write"))
    for method in TENANCY:
        allowed, refused_one = (writer, reader) if writes(method) else (reader, writer)
        for metadata in (refused_one, other):
            refused = await called(context.server.channel, method, metadata)
            assert refused is not None, method.name
            assert refused.code is CODE.PERMISSION_DENIED, method.name
            assert refused.reason == "OPERATOR_SCOPE_MISSING", method.name
            scope = "tenancy:write" if writes(method) else "tenancy:read"
            assert dict(refused.info.metadata) == {"scope": scope}, method.name
        let_in = await called(context.server.channel, method, allowed)
        assert let_in is None or let_in.code is CODE.INVALID_ARGUMENT, method.name


async def test_nobody_in_particular_is_let_in(context: TenancyContext) -> None:
    unknown = bearer("op_" + "x" * 32)
    foreign = bearer(context.server.service_token("events", audience="runs"))
    for method in TENANCY:
        for metadata, reason in (
            ((), "CREDENTIAL_MISSING"),
            (unknown, "CREDENTIAL_INVALID"),
            (foreign, "SERVICE_TOKEN_INVALID"),
        ):
            refused = await called(context.server.channel, method, metadata)
            assert refused is not None, method.name
            assert (refused.code, refused.reason) == (CODE.UNAUTHENTICATED, reason), method.name


async def test_only_services_ask_who_calls(
    context: TenancyContext, strangers: dict[str, Metadata]
) -> None:
    operator = {"operator": context.as_operator}
    keys = {who: metadata for who, metadata in strangers.items() if who != "service"}
    for method in PRINCIPALS:
        for who, metadata in (keys | operator).items():
            refused = await called(context.server.tasks_channel, method, metadata)
            assert refused is not None, (method.name, who)
            assert refused.code is CODE.PERMISSION_DENIED, (method.name, who)
        let_in = await called(context.server.tasks_channel, method, strangers["service"])
        assert let_in is not None
        assert let_in.code is CODE.INVALID_ARGUMENT, method.name


async def test_the_client_listener_does_not_know_the_internal_service(
    context: TenancyContext,
) -> None:
    for method in PRINCIPALS:
        metadata = bearer(context.server.service_token("events"))
        refused = await called(context.server.channel, method, metadata)
        assert refused is not None
        assert refused.code is CODE.UNIMPLEMENTED


async def test_bad_questions_are_refused(context: TenancyContext) -> None:
    metadata = bearer(context.server.service_token("events"))
    with refusal(CODE.INVALID_ARGUMENT) as short:
        await context.principals.LookUpCredential(
            internal_pb.LookUpCredentialRequest(hash=b"short"), metadata=metadata, timeout=TIMEOUT
        )
    with refusal(CODE.NOT_FOUND) as unknown:
        await context.principals.LookUpCredential(
            internal_pb.LookUpCredentialRequest(hash=bytes(32)), metadata=metadata, timeout=TIMEOUT
        )
    with refusal(CODE.INVALID_ARGUMENT) as no_id:
        await context.principals.LookUpEnvironment(
            internal_pb.LookUpEnvironmentRequest(environment_id="dev"),
            metadata=metadata,
            timeout=TIMEOUT,
        )
    assert list(short.fields) == ["hash"]
    assert unknown.reason == "CREDENTIAL_NOT_FOUND"
    assert list(no_id.fields) == ["environment_id"]
