"""Which secret key an environment's programs are shown, and to whom it is revealed."""

from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from kongflow_common.ids import new_id
from kongflow_common.testing.clocks import FixedClock
from kongflow_tenancy.adapters.environment_reader import PostgresEnvironmentReader
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.application.describe_environment import DescribeEnvironment
from kongflow_tenancy.application.ports import OrganizationChange, SealedTextUnreadable
from kongflow_tenancy.application.reveal_secret_key import RevealSecretKey
from kongflow_tenancy.domain.credentials import KeyKind
from kongflow_tenancy.domain.errors import (
    EnvironmentHasNoKey,
    EnvironmentNotFound,
    SecretKeyNotShown,
)
from services.tenancy.tests.tenancy_context import StoredTenancy, a_write


@pytest.fixture
def reveal(tenancy: StoredTenancy) -> RevealSecretKey:
    reader = PostgresEnvironmentReader(tenancy.database)
    return RevealSecretKey(reader, tenancy.vault, tenancy.clock)


@pytest.fixture
async def environment_id(tenancy: StoredTenancy) -> UUID:
    return (await tenancy.add_environment()).id


async def test_the_newest_secret_key_is_revealed(
    tenancy: StoredTenancy, reveal: RevealSecretKey, environment_id: UUID
) -> None:
    await tenancy.add_key(environment_id)
    _, newest = await tenancy.add_key(environment_id)
    await tenancy.add_key(environment_id, KeyKind.PUBLIC)
    await tenancy.add_key((await tenancy.add_environment()).id)
    assert await reveal("endpoints", environment_id) == newest


@pytest.mark.parametrize("overlap", [timedelta(0), timedelta(hours=1)])
async def test_after_a_rotation_the_new_key_is_revealed(
    tenancy: StoredTenancy, reveal: RevealSecretKey, environment_id: UUID, overlap: timedelta
) -> None:
    key_id, old = await tenancy.add_key(environment_id)
    assert await reveal("endpoints", environment_id) == old
    _, new, _ = await tenancy.use.rotate_key(key_id, overlap, a_write())
    assert new != old
    assert await reveal("endpoints", environment_id) == new


async def test_a_revoked_key_gives_way_to_the_one_before(
    tenancy: StoredTenancy, reveal: RevealSecretKey, environment_id: UUID
) -> None:
    _, older = await tenancy.add_key(environment_id)
    key_id, newer = await tenancy.add_key(environment_id)
    assert await reveal("endpoints", environment_id) == newer
    await tenancy.use.revoke_key(key_id, a_write())
    assert await reveal("endpoints", environment_id) == older


async def test_an_expired_key_gives_way_to_the_one_before(
    tenancy: StoredTenancy, reveal: RevealSecretKey, environment_id: UUID, fixed_clock: FixedClock
) -> None:
    _, older = await tenancy.add_key(environment_id)
    ends = fixed_clock.now() + timedelta(minutes=1)
    _, newer = await tenancy.add_key(environment_id, ends=ends)
    assert await reveal("endpoints", environment_id) == newer
    fixed_clock.advance(timedelta(minutes=1))
    assert await reveal("endpoints", environment_id) == older


async def test_an_environment_without_a_usable_key_says_so(
    tenancy: StoredTenancy, reveal: RevealSecretKey, environment_id: UUID
) -> None:
    await tenancy.add_key(environment_id, KeyKind.PUBLIC)
    key_id, _ = await tenancy.add_key(environment_id)
    await tenancy.use.revoke_key(key_id, a_write())
    with pytest.raises(EnvironmentHasNoKey) as refused:
        await reveal("endpoints", environment_id)
    assert refused.value.subject == f"environments/{environment_id}"
    with pytest.raises(EnvironmentNotFound):
        await reveal("endpoints", new_id())


@pytest.mark.parametrize("service", ["events", "runs", "jobs", "workerqueue", "ENDPOINTS", ""])
async def test_no_other_service_is_told(
    tenancy: StoredTenancy, reveal: RevealSecretKey, environment_id: UUID, service: str
) -> None:
    await tenancy.add_key(environment_id)
    with pytest.raises(SecretKeyNotShown):
        await reveal(service, environment_id)
    # Nor does a refusal say whether there is such an environment.
    with pytest.raises(SecretKeyNotShown):
        await reveal(service, new_id())


async def test_a_key_that_another_vault_sealed_is_not_revealed(
    tenancy: StoredTenancy, environment_id: UUID
) -> None:
    _, text = await tenancy.add_key(environment_id)
    stranger = FernetKeyVault({"tests": Fernet.generate_key().decode()})
    reader = PostgresEnvironmentReader(tenancy.database)
    with pytest.raises(SealedTextUnreadable) as refused:
        await RevealSecretKey(reader, stranger, tenancy.clock)("endpoints", environment_id)
    assert text not in repr(refused.value)


async def test_an_environment_is_described_with_what_it_belongs_to(
    tenancy: StoredTenancy,
) -> None:
    environment = await tenancy.add_environment("try-out")
    describe = DescribeEnvironment(PostgresEnvironmentReader(tenancy.database))
    await tenancy.use.update_organization(
        environment.organization_id,
        OrganizationChange(
            title="Acme", runs_enabled=False, maximum_execution_time_per_run=timedelta(seconds=90)
        ),
        a_write(),
    )
    project = await tenancy.use.queries.project(environment.project_id)
    organization = await tenancy.use.queries.organization(environment.organization_id)
    found = await describe(environment.id)
    context = found.environment
    assert (context.environment_id, context.project_id) == (environment.id, project.id)
    assert context.organization_id == organization.id
    assert (context.slug, context.type, context.runs_enabled) == ("try-out", "DEVELOPMENT", False)
    assert (found.project_slug, found.project_name) == (project.slug, project.name)
    assert (found.organization_slug, found.organization_title) == (organization.slug, "Acme")
    assert found.maximum_execution_time_per_run == timedelta(seconds=90)
    with pytest.raises(EnvironmentNotFound):
        await describe(new_id())
