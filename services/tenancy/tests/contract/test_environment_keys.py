"""Keys over a real channel."""

from datetime import UTC, datetime, timedelta

import grpc

from kongflow.tenancy.v1 import environment_key_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.ids import new_id
from kongflow_common.testing.refusals import refusal
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext

CODE = grpc.StatusCode
PUBLIC = environment_key_pb2.EnvironmentKey.KIND_PUBLIC


async def rotated(
    context: TenancyContext,
    key_id: str,
    overlap: timedelta | None = None,
    request_id: str = "",
) -> pb.RotateEnvironmentKeyResponse:
    request = pb.RotateEnvironmentKeyRequest(id=key_id, request_id=request_id)
    if overlap is not None:
        request.overlap.FromTimedelta(overlap)
    return await context.client.RotateEnvironmentKey(
        request, metadata=context.as_operator, timeout=TIMEOUT
    )


async def revoked(context: TenancyContext, key_id: str) -> environment_key_pb2.EnvironmentKey:
    answer = await context.client.RevokeEnvironmentKey(
        pb.RevokeEnvironmentKeyRequest(id=key_id), metadata=context.as_operator, timeout=TIMEOUT
    )
    return answer.environment_key


async def listed(
    context: TenancyContext, environment_id: str
) -> list[environment_key_pb2.EnvironmentKey]:
    answer = await context.client.ListEnvironmentKeys(
        pb.ListEnvironmentKeysRequest(environment_id=environment_id),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    return list(answer.environment_keys)


async def test_a_key_is_made_and_its_text_shown_once(context: TenancyContext) -> None:
    environment = await context.environment()
    made = await context.key(environment.id, PUBLIC)
    key = made.environment_key
    assert made.key_text.startswith("pk_dev_")
    assert (key.environment_id, key.kind) == (environment.id, PUBLIC)
    assert key.hint == f"pk_dev_...{made.key_text[-4:]}"
    assert not key.HasField("expire_time")
    assert not key.HasField("revoke_time")
    shown = await context.client.ListEnvironmentKeys(
        pb.ListEnvironmentKeysRequest(environment_id=environment.id),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    assert list(shown.environment_keys) == [key]
    assert made.key_text.removeprefix("pk_dev_").encode() not in shown.SerializeToString()


async def test_a_repeat_answers_the_same_text(context: TenancyContext) -> None:
    environment = await context.environment()
    first = await context.key(environment.id, request_id="r")
    assert await context.key(environment.id, request_id="r") == first
    with refusal(CODE.ALREADY_EXISTS) as refused:
        await context.key(environment.id, PUBLIC, request_id="r")
    assert refused.reason == "REQUEST_ID_REUSED"
    assert len(await listed(context, environment.id)) == 1


async def test_a_key_is_rotated_with_and_without_overlap(context: TenancyContext) -> None:
    first = (await context.key()).environment_key
    second = await rotated(context, first.id, timedelta(hours=1))
    assert second.replaced_key.id == first.id
    assert second.replaced_key.HasField("expire_time")
    assert not second.replaced_key.HasField("revoke_time")
    third = await rotated(context, second.environment_key.id)
    assert third.replaced_key.HasField("revoke_time")
    keys = await listed(context, first.environment_id)
    assert [key.id for key in keys] == [
        third.environment_key.id,
        second.environment_key.id,
        first.id,
    ]
    assert keys[1:] == [third.replaced_key, second.replaced_key]


async def test_a_repeated_rotation_answers_the_same(context: TenancyContext) -> None:
    key = (await context.key()).environment_key
    first = await rotated(context, key.id, request_id="r")
    assert await rotated(context, key.id, request_id="r") == first
    with refusal(CODE.ALREADY_EXISTS) as refused:
        await rotated(context, key.id, timedelta(hours=1), request_id="r")
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_a_revocation_is_idempotent(context: TenancyContext) -> None:
    key = (await context.key()).environment_key
    first = await revoked(context, key.id)
    assert first.HasField("revoke_time")
    assert await revoked(context, key.id) == first


async def test_a_revoked_key_is_not_rotated(context: TenancyContext) -> None:
    key = (await context.key()).environment_key
    await revoked(context, key.id)
    with refusal(CODE.FAILED_PRECONDITION) as refused:
        await rotated(context, key.id)
    assert refused.reason == "KEY_REVOKED"
    assert refused.preconditions == [("KEY_REVOKED", f"keys/{key.id}")]


async def test_what_is_not_there_is_named(context: TenancyContext) -> None:
    stranger = str(new_id())
    with refusal(CODE.NOT_FOUND) as creating:
        await context.key(stranger)
    with refusal(CODE.NOT_FOUND) as listing:
        await listed(context, stranger)
    with refusal(CODE.NOT_FOUND) as rotating:
        await rotated(context, stranger)
    with refusal(CODE.NOT_FOUND) as revoking:
        await revoked(context, stranger)
    refusals = (creating, listing, rotating, revoking)
    assert [each.reason for each in refusals] == [
        *["ENVIRONMENT_NOT_FOUND"] * 2,
        *["KEY_NOT_FOUND"] * 2,
    ]
    assert all(dict(each.info.metadata) == {"id": stranger} for each in refusals)


async def test_bad_fields_are_named(context: TenancyContext) -> None:
    key = (await context.key()).environment_key
    environment_id = key.environment_id
    with refusal(CODE.INVALID_ARGUMENT) as no_kind:
        await context.client.CreateEnvironmentKey(
            pb.CreateEnvironmentKeyRequest(environment_id=environment_id),
            metadata=context.as_operator,
            timeout=TIMEOUT,
        )
    with refusal(CODE.INVALID_ARGUMENT) as past:
        await context.key(environment_id, expire_time=datetime(2020, 1, 1, tzinfo=UTC))
    with refusal(CODE.INVALID_ARGUMENT) as far:
        await context.key(environment_id, expire_time=datetime(2101, 1, 1, tzinfo=UTC))
    with refusal(CODE.INVALID_ARGUMENT) as negative:
        await rotated(context, key.id, timedelta(seconds=-1))
    with refusal(CODE.INVALID_ARGUMENT) as long:
        await rotated(context, key.id, timedelta(days=30, microseconds=1))
    with refusal(CODE.INVALID_ARGUMENT) as no_id:
        await revoked(context, "")
    with refusal(CODE.INVALID_ARGUMENT) as no_environment:
        await listed(context, "")
    refusals = (no_kind, past, far, negative, long, no_id, no_environment)
    assert [list(each.fields) for each in refusals] == [
        ["kind"],
        ["expire_time"],
        ["expire_time"],
        ["overlap"],
        ["overlap"],
        ["id"],
        ["environment_id"],
    ]
    assert await listed(context, environment_id) == [key]
