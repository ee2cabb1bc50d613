"""Who stands behind a credential."""

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_tenancy.adapters.principals import PostgresPrincipals
from kongflow_tenancy.application.look_up_principal import LookUpEnvironment
from kongflow_tenancy.application.ports import OrganizationChange
from kongflow_tenancy.domain.credentials import KeyPrincipal, OperatorPrincipal, credential_hash
from kongflow_tenancy.domain.errors import CredentialNotFound, EnvironmentNotFound
from services.tenancy.tests.tenancy_context import StoredTenancy, a_write


async def test_an_operator_is_found_with_name_and_scopes(tenancy: StoredTenancy) -> None:
    token = await tenancy.add_operator("reader", "events:read", "tenancy:read")
    found = await tenancy.look_up_credential(credential_hash(token))
    assert isinstance(found, OperatorPrincipal)
    assert (found.name, found.scopes) == ("reader", ("events:read", "tenancy:read"))


async def test_a_revoked_operator_is_not_found(tenancy: StoredTenancy) -> None:
    token = await tenancy.add_operator("reader", "tenancy:read")
    await tenancy.database.pool.execute("UPDATE tenancy.operators SET revoked_at = now()")
    with pytest.raises(CredentialNotFound):
        await tenancy.look_up_credential(credential_hash(token))


async def test_an_unknown_credential_is_not_found(tenancy: StoredTenancy) -> None:
    with pytest.raises(CredentialNotFound):
        await tenancy.look_up_credential(credential_hash("tr_dev_nobody"))


async def test_whether_runs_are_enabled_comes_with_the_environment(
    tenancy: StoredTenancy,
) -> None:
    environment = await tenancy.add_environment()
    _, text = await tenancy.add_key(environment.id)
    look_up_environment = LookUpEnvironment(PostgresPrincipals(tenancy.database))
    for enabled in (False, True):
        await tenancy.use.update_organization(
            environment.organization_id, OrganizationChange(runs_enabled=enabled), a_write()
        )
        found = await tenancy.look_up_credential(credential_hash(text))
        assert isinstance(found, KeyPrincipal)
        assert found.environment.runs_enabled is enabled
        assert await look_up_environment(environment.id) == found.environment


async def test_an_unknown_environment_is_not_found(tenancy: StoredTenancy) -> None:
    stranger = new_id()
    with pytest.raises(EnvironmentNotFound) as refused:
        await LookUpEnvironment(PostgresPrincipals(tenancy.database))(stranger)
    assert refused.value.metadata == {"id": str(stranger)}


async def test_without_a_database_there_is_no_answer(tenancy: StoredTenancy) -> None:
    async with Database.connect(
        "postgresql://127.0.0.1:1/none", pool_size=1, application_name="tests"
    ) as away:
        with pytest.raises(DependencyUnavailable):
            await PostgresPrincipals(away).of_credential(bytes(32), tenancy.clock.now())
