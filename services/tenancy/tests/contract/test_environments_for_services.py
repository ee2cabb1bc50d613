"""What the other services are told of an environment, and that its key stays a secret."""

import logging
from datetime import timedelta
from uuid import UUID

import grpc
import pytest

from kongflow.tenancy.internal.v1 import principal_service_pb2 as pb
from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import RemoteError
from kongflow_common.rpc.tenancy_environments import TenancyEnvironments
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext


class Monotonic:
    """A monotonic clock that moves when it is told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def environments_of(
    context: TenancyContext, service: str, clock: Monotonic | None = None
) -> TenancyEnvironments:
    return TenancyEnvironments(context.server.caller(service), now=clock or Monotonic())


async def test_an_environment_is_described_to_any_service(context: TenancyContext) -> None:
    organization = await context.organization("acme", title="Acme & Sons")
    project = await context.project(organization.id, "shop")
    environment = await context.environment(project.id, "try-out")
    for service in ("runs", "endpoints"):
        found = await environments_of(context, service).describe(UUID(environment.id))
        assert found is not None
        assert str(found.environment.environment_id) == environment.id
        assert str(found.environment.project_id) == project.id
        assert (found.environment.slug, found.environment.type) == ("try-out", "DEVELOPMENT")
        assert (found.project_slug, found.project_name) == ("shop", project.name)
        assert (found.organization_slug, found.organization_title) == ("acme", "Acme & Sons")
        assert found.maximum_execution_time_per_run == timedelta(minutes=15)
    assert await environments_of(context, "runs").describe(new_id()) is None


async def test_the_endpoints_service_alone_is_shown_the_key(context: TenancyContext) -> None:
    key = await context.key()
    environment_id = UUID(key.environment_key.environment_id)
    shown = await environments_of(context, "endpoints").secret_key(environment_id)
    assert shown is not None
    assert shown.get_secret_value() == key.key_text
    for service in ("runs", "jobs", "events", "workerqueue"):
        with pytest.raises(RemoteError) as refused:
            await environments_of(context, service).secret_key(environment_id)
        assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.value.reason == "SECRET_KEY_NOT_SHOWN"


async def test_without_a_key_there_is_none_to_show(context: TenancyContext) -> None:
    environments = environments_of(context, "endpoints")
    environment = await context.environment()
    assert await environments.secret_key(UUID(environment.id)) is None
    assert await environments.secret_key(new_id()) is None
    caller = context.server.caller("endpoints")
    request = pb.RevealSecretKeyRequest(environment_id=environment.id)
    with pytest.raises(RemoteError) as refused:
        await caller.call(context.principals.RevealSecretKey, request, timeout=TIMEOUT)
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.reason == "ENVIRONMENT_HAS_NO_KEY"


async def test_an_id_that_is_none_is_named(context: TenancyContext) -> None:
    metadata = (("authorization", f"Bearer {context.server.service_token('endpoints')}"),)
    for text in ("", "shop", "0190d5a2"):
        with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
            await context.principals.RevealSecretKey(
                pb.RevealSecretKeyRequest(environment_id=text), metadata=metadata, timeout=TIMEOUT
            )
        assert list(refused.fields) == ["environment_id"]
        with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
            await context.principals.DescribeEnvironment(
                pb.DescribeEnvironmentRequest(environment_id=text),
                metadata=metadata,
                timeout=TIMEOUT,
            )
        assert list(refused.fields) == ["environment_id"]


async def test_a_rotated_key_is_shown_within_five_seconds(context: TenancyContext) -> None:
    clock = Monotonic()
    environments = environments_of(context, "endpoints", clock)
    old = await context.key()
    environment_id = UUID(old.environment_key.environment_id)

    async def shown() -> str:
        key = await environments.secret_key(environment_id)
        assert key is not None
        return key.get_secret_value()

    assert await shown() == old.key_text
    rotated = await context.client.RotateEnvironmentKey(
        tenancy_service_pb2.RotateEnvironmentKeyRequest(id=old.environment_key.id),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    assert await shown() == old.key_text
    clock.seconds += 5
    assert await shown() == rotated.key_text
    # From the age of two seconds on it is asked for anew while it still serves.
    clock.seconds += 2.5
    assert await shown() == rotated.key_text
    await environments.close()


async def test_a_description_is_not_older_than_five_seconds(context: TenancyContext) -> None:
    clock = Monotonic()
    environments = environments_of(context, "runs", clock)
    environment = await context.environment()
    environment_id = UUID(environment.id)

    async def runs_enabled() -> bool:
        found = await environments.describe(environment_id)
        assert found is not None
        return found.environment.runs_enabled

    assert await runs_enabled()
    await context.stored.database.pool.execute(
        "UPDATE tenancy.organizations SET runs_enabled = false"
    )
    assert await runs_enabled()
    clock.seconds += 2.5
    assert await runs_enabled()

    async def disabled() -> bool:
        return not await runs_enabled()

    await eventually(disabled)
    await environments.close()


async def test_a_revealed_key_is_in_no_log_and_no_repr(
    context: TenancyContext, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        key = await context.key()
        environments = environments_of(context, "endpoints")
        shown = await environments.secret_key(UUID(key.environment_key.environment_id))
        with pytest.raises(RemoteError) as refused:
            await environments_of(context, "runs").secret_key(
                UUID(key.environment_key.environment_id)
            )
    assert shown is not None
    assert shown.get_secret_value() == key.key_text
    # The calls were logged, so that a key could have been.
    assert "RevealSecretKey" in " ".join(str(record.__dict__) for record in caplog.records)
    for record in caplog.records:
        assert key.key_text not in str(record.__dict__)
        assert key.key_text not in record.getMessage()
    for held in (shown, environments, vars(environments), refused.value):
        assert key.key_text not in repr(held)
        assert key.key_text not in str(held)
