"""What other services learn of callers, and how soon they learn that a key has ended."""

import time
from datetime import timedelta
from uuid import UUID

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kongflow.tenancy.v1 import environment_key_pb2, organization_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow_common.auth.credentials import CachedCredentialResolver, CredentialLookup
from kongflow_common.auth.principals import CallerKind
from kongflow_common.clock import SystemClock
from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_tenancy.adapters.own_credentials import OwnCredentialLookup
from kongflow_tenancy.adapters.principals import PostgresPrincipals
from kongflow_tenancy.application.look_up_principal import LookUpEnvironment
from kongflow_tenancy.domain.credentials import credential_hash
from services.tenancy.tests.tenancy_context import TIMEOUT, TenancyContext

PUBLIC = environment_key_pb2.EnvironmentKey.KIND_PUBLIC


class Monotonic:
    """A monotonic clock that moves when it is told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def revoke(context: TenancyContext, key_id: str) -> None:
    await context.client.RevokeEnvironmentKey(
        pb.RevokeEnvironmentKeyRequest(id=key_id), metadata=context.as_operator, timeout=TIMEOUT
    )


@pytest.fixture(params=["another service", "tenancy itself"])
def lookup(request: pytest.FixtureRequest, context: TenancyContext) -> CredentialLookup:
    """Both ways to ask, which must answer alike."""
    if request.param == "another service":
        return context.lookup_of("events")
    return OwnCredentialLookup(
        context.stored.look_up_credential,
        LookUpEnvironment(PostgresPrincipals(context.stored.database)),
    )


async def test_a_key_stands_for_its_environment(
    context: TenancyContext, lookup: CredentialLookup
) -> None:
    environment = await context.environment(slug="try-out")
    ends = SystemClock().now() + timedelta(hours=1)
    secret = await context.key(environment.id, expire_time=ends)
    public = await context.key(environment.id, PUBLIC)
    found = await lookup.look_up_credential(credential_hash(secret.key_text))
    assert found is not None
    assert found.expires_at == pytest.approx(ends.timestamp(), abs=1e-5)
    principal = found.principal
    assert principal.kind is CallerKind.SECRET_KEY
    assert (principal.name, principal.key_id) == ("try-out", secret.environment_key.id)
    scope = principal.environment
    assert scope is not None
    assert str(scope.environment_id) == environment.id
    assert str(scope.project_id) == environment.project_id
    assert str(scope.organization_id) == environment.organization_id
    assert (scope.slug, scope.type, scope.runs_enabled) == ("try-out", "DEVELOPMENT", True)
    found = await lookup.look_up_credential(credential_hash(public.key_text))
    assert found is not None
    assert (found.principal.kind, found.expires_at) == (CallerKind.PUBLIC_KEY, None)
    assert await lookup.look_up_environment(scope.environment_id) == scope


async def test_an_operator_stands_for_name_and_scopes(
    context: TenancyContext, lookup: CredentialLookup
) -> None:
    token = await context.stored.add_operator("reader", "events:read", "runs:read")
    found = await lookup.look_up_credential(credential_hash(token))
    assert found is not None
    assert found.principal.kind is CallerKind.OPERATOR
    assert found.principal.name == "reader"
    assert found.principal.scopes == {"events:read", "runs:read"}
    assert UUID(found.principal.key_id).version == 7
    assert found.expires_at is None


async def test_what_is_unknown_stands_for_nothing(
    context: TenancyContext, lookup: CredentialLookup
) -> None:
    assert await lookup.look_up_credential(credential_hash("tr_dev_nobody")) is None
    assert await lookup.look_up_environment(new_id()) is None


async def test_an_organization_that_may_not_run_jobs_says_so(
    context: TenancyContext, lookup: CredentialLookup
) -> None:
    environment = await context.environment()
    await context.client.UpdateOrganization(
        pb.UpdateOrganizationRequest(
            organization=organization_pb2.Organization(id=environment.organization_id),
            update_mask=FieldMask(paths=["runs_enabled"]),
        ),
        metadata=context.as_operator,
        timeout=TIMEOUT,
    )
    scope = await lookup.look_up_environment(UUID(environment.id))
    assert scope is not None
    assert not scope.runs_enabled


async def test_a_key_in_constant_use_ends_within_5_seconds(context: TenancyContext) -> None:
    key = await context.key()
    digest = credential_hash(key.key_text)
    resolver = CachedCredentialResolver(context.lookup_of("events"))
    assert await resolver.principal(digest) is not None
    await revoke(context, key.environment_key.id)
    revoked_at = time.monotonic()

    async def is_unknown() -> bool:
        return await resolver.principal(digest) is None

    await eventually(is_unknown, deadline=8)
    assert time.monotonic() - revoked_at < 5
    await resolver.close()


async def test_a_key_that_rests_after_its_first_use_ends_within_5_seconds(
    context: TenancyContext,
) -> None:
    key = await context.key()
    digest = credential_hash(key.key_text)
    now = Monotonic()
    resolver = CachedCredentialResolver(context.lookup_of("events"), now=now)
    assert await resolver.principal(digest) is not None
    await revoke(context, key.environment_key.id)
    now.seconds += 4.999
    assert await resolver.principal(digest) is None
    await resolver.close()


async def test_a_new_key_works_within_5_seconds_though_it_was_tried_before(
    context: TenancyContext,
) -> None:
    now = Monotonic()
    resolver = CachedCredentialResolver(context.lookup_of("events"), now=now)
    token = await context.stored.add_operator("late", "*")
    digest = credential_hash(token)
    await context.stored.database.pool.execute(
        "UPDATE tenancy.operators SET revoked_at = now() WHERE name = 'late'"
    )
    assert await resolver.principal(digest) is None
    await context.stored.database.pool.execute(
        "UPDATE tenancy.operators SET revoked_at = NULL WHERE name = 'late'"
    )
    now.seconds += 4.999
    assert await resolver.principal(digest) is not None
    await resolver.close()


async def test_a_key_ends_to_the_moment_without_being_asked_about(
    context: TenancyContext,
) -> None:
    ends = SystemClock().now() + timedelta(hours=1)
    key = await context.key(expire_time=ends)
    wall = Monotonic()
    wall.seconds = ends.timestamp() - 0.001
    resolver = CachedCredentialResolver(
        context.lookup_of("events"), now=Monotonic(), wall_clock=wall
    )
    assert await resolver.principal(credential_hash(key.key_text)) is not None
    wall.seconds = ends.timestamp() + 0.001
    assert await resolver.principal(credential_hash(key.key_text)) is None
    await resolver.close()


async def test_an_expired_key_is_unknown(context: TenancyContext, lookup: CredentialLookup) -> None:
    key = await context.key(expire_time=SystemClock().now() + timedelta(hours=1))
    digest = credential_hash(key.key_text)
    assert await lookup.look_up_credential(digest) is not None
    context.clock.offset = timedelta(hours=2)
    assert await lookup.look_up_credential(digest) is None


async def test_a_revoked_operator_is_let_in_no_more(context: TenancyContext) -> None:
    await context.organization()
    await context.stored.database.pool.execute("UPDATE tenancy.operators SET revoked_at = now()")
    revoked_at = time.monotonic()

    async def is_refused() -> bool:
        try:
            await context.client.ListOrganizations(
                pb.ListOrganizationsRequest(), metadata=context.as_operator, timeout=TIMEOUT
            )
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    await eventually(is_refused, deadline=8)
    assert time.monotonic() - revoked_at < 5
