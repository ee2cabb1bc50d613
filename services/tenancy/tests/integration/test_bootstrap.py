"""The first tenant: made once, whatever is there already and however many make it."""

import asyncio
import json
import logging

import pytest
from cryptography.fernet import Fernet

from kongflow_common.ids import new_id
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.application.bootstrap import FirstCredentials
from kongflow_tenancy.application.ports import NewEnvironment, SealedTextUnreadable
from kongflow_tenancy.domain.credentials import (
    KeyKind,
    KeyPrincipal,
    OperatorPrincipal,
    credential_hash,
)
from kongflow_tenancy.domain.errors import CredentialNotFound, EnvironmentExists, ProjectExists
from kongflow_tenancy.domain.organization import EnvironmentType
from kongflow_tenancy.main import run_bootstrap
from services.tenancy.tests.tenancy_context import StoredTenancy, a_write

FIRST = FirstCredentials(
    api_key="tr_dev_AAAAAAAAAAAAAAAAAAAA",
    public_key="pk_dev_BBBBBBBBBBBBBBBBBBBB",
    operator_token="op_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
)
OTHER = FirstCredentials(
    api_key="tr_dev_DDDDDDDDDDDDDDDDDDDD",
    public_key="pk_dev_EEEEEEEEEEEEEEEEEEEE",
    operator_token="op_FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
)
TABLES = ("organizations", "projects", "environments", "operators", "environment_keys")


async def counts(tenancy: StoredTenancy) -> list[int]:
    return [await tenancy.count(table) for table in TABLES]


async def test_it_makes_a_tenant_two_keys_and_an_operator(tenancy: StoredTenancy) -> None:
    tenant = await tenancy.bootstrap()(FIRST)
    assert tenant.ended == ()
    environment = await tenancy.use.queries.environment(tenant.environment_id)
    assert (environment.slug, environment.type) == ("dev", EnvironmentType.DEVELOPMENT)
    secret = await tenancy.look_up_credential(credential_hash(FIRST.api_key))
    public = await tenancy.look_up_credential(credential_hash(FIRST.public_key))
    operator = await tenancy.look_up_credential(credential_hash(FIRST.operator_token))
    assert isinstance(secret, KeyPrincipal)
    assert isinstance(public, KeyPrincipal)
    assert isinstance(operator, OperatorPrincipal)
    assert (secret.kind, public.kind) == (KeyKind.SECRET, KeyKind.PUBLIC)
    assert secret.environment.environment_id == tenant.environment_id
    assert public.environment.environment_id == tenant.environment_id
    assert (operator.name, operator.scopes) == ("admin", ("*",))


async def test_it_is_audited_in_the_operators_name(tenancy: StoredTenancy) -> None:
    await tenancy.bootstrap()(FIRST)
    entries = await tenancy.audit()
    assert {(entry.operator_name, entry.action) for entry in entries} == {("admin", "Bootstrap")}
    assert [entry.subject.partition("/")[0] for entry in entries] == [
        "operators",
        "organizations",
        "projects",
        "environments",
        "keys",
        "keys",
    ]
    assert entries[0].details == {"change": "created"}


async def test_a_repeat_changes_nothing(tenancy: StoredTenancy) -> None:
    first = await tenancy.bootstrap()(FIRST)
    before = await tenancy.audit()
    assert await tenancy.bootstrap()(FIRST) == first
    assert await counts(tenancy) == [1, 1, 1, 1, 2]
    assert await tenancy.audit() == before


async def test_many_at_once_make_one_tenant(tenancy: StoredTenancy) -> None:
    tenants = await asyncio.gather(*(tenancy.bootstrap()(FIRST) for _ in range(8)))
    assert len({tenant.environment_id for tenant in tenants}) == 1
    assert await counts(tenancy) == [1, 1, 1, 1, 2]
    assert len(await tenancy.audit()) == 6


async def test_what_has_the_slugs_already_is_used(tenancy: StoredTenancy) -> None:
    project_id = await tenancy.add_project("shop", "acme")
    environment = await tenancy.use.create_environment(
        NewEnvironment(new_id(), "dev", EnvironmentType.DEVELOPMENT, "abcde", project_id),
        a_write(),
    )
    tenant = await tenancy.bootstrap()(FIRST)
    assert tenant.environment_id == environment.id
    assert await counts(tenancy) == [1, 1, 1, 1, 2]


async def test_a_part_of_it_is_completed(tenancy: StoredTenancy) -> None:
    project_id = await tenancy.add_project("shop", "acme")
    tenant = await tenancy.bootstrap()(FIRST)
    environment = await tenancy.use.queries.environment(tenant.environment_id)
    assert environment.project_id == project_id


async def test_another_tenants_project_is_left_alone(tenancy: StoredTenancy) -> None:
    await tenancy.add_project("shop", "another")
    with pytest.raises(ProjectExists):
        await tenancy.bootstrap()(FIRST)
    assert await counts(tenancy) == [1, 1, 0, 0, 0]


async def test_development_keys_open_no_other_environment(tenancy: StoredTenancy) -> None:
    project_id = await tenancy.add_project("shop", "acme")
    await tenancy.use.create_environment(
        NewEnvironment(new_id(), "dev", EnvironmentType.PRODUCTION, "abcde", project_id),
        a_write(),
    )
    with pytest.raises(EnvironmentExists):
        await tenancy.bootstrap()(FIRST)
    assert await tenancy.count("environment_keys") == 0


async def test_a_revoked_key_stays_revoked(tenancy: StoredTenancy) -> None:
    tenant = await tenancy.bootstrap()(FIRST)
    for key in await tenancy.use.queries.keys(tenant.environment_id, None, 10):
        await tenancy.use.revoke_key(key.id, a_write())
    again = await tenancy.bootstrap()(FIRST)
    assert again.environment_id == tenant.environment_id
    assert again.ended == ("api_key", "public_key")
    with pytest.raises(CredentialNotFound):
        await tenancy.look_up_credential(credential_hash(FIRST.api_key))


async def test_a_revoked_operator_stays_revoked(tenancy: StoredTenancy) -> None:
    await tenancy.bootstrap()(FIRST)
    await tenancy.database.pool.execute("UPDATE tenancy.operators SET revoked_at = now()")
    assert (await tenancy.bootstrap()(FIRST)).ended == ("operator_token",)
    with pytest.raises(CredentialNotFound):
        await tenancy.look_up_credential(credential_hash(FIRST.operator_token))


async def test_other_credentials_open_the_same_tenant(tenancy: StoredTenancy) -> None:
    first = await tenancy.bootstrap()(FIRST)
    await tenancy.database.pool.execute("UPDATE tenancy.operators SET revoked_at = now()")
    second = await tenancy.bootstrap()(OTHER)
    assert second == first
    assert await counts(tenancy) == [1, 1, 1, 1, 4]
    operator = await tenancy.look_up_credential(credential_hash(OTHER.operator_token))
    assert isinstance(operator, OperatorPrincipal)
    with pytest.raises(CredentialNotFound):
        await tenancy.look_up_credential(credential_hash(FIRST.operator_token))
    assert (await tenancy.look_up_credential(credential_hash(FIRST.api_key))) is not None
    replaced = [entry for entry in await tenancy.audit() if "operators/" in entry.subject][-1]
    assert replaced.details == {"change": "token replaced"}


async def test_a_lost_encryption_key_is_noticed(tenancy: StoredTenancy) -> None:
    await tenancy.bootstrap()(FIRST)
    other = FernetKeyVault({"tests": Fernet.generate_key().decode()})
    with pytest.raises(SealedTextUnreadable):
        await tenancy.bootstrap(other)(FIRST)


@pytest.fixture
def settings(tenancy: StoredTenancy, tenancy_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variables of the command."""
    monkeypatch.setenv("KONGFLOW_DATABASE_URL", tenancy_url)
    monkeypatch.setenv(
        "KONGFLOW_SECRET_KEYS", json.dumps({"tests": Fernet.generate_key().decode()})
    )
    monkeypatch.setenv("KONGFLOW_BOOTSTRAP_API_KEY", FIRST.api_key)
    monkeypatch.setenv("KONGFLOW_BOOTSTRAP_PUBLIC_KEY", FIRST.public_key)
    monkeypatch.setenv("KONGFLOW_BOOTSTRAP_OPERATOR_TOKEN", FIRST.operator_token)
    monkeypatch.setattr("kongflow_tenancy.main.configure_logging", lambda *_: None)


@pytest.mark.usefixtures("settings")
async def test_the_command_prints_what_it_made(
    tenancy: StoredTenancy, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert await asyncio.to_thread(run_bootstrap) == 0
    found = await tenancy.look_up_credential(credential_hash(FIRST.api_key))
    assert isinstance(found, KeyPrincipal)
    assert json.loads(capsys.readouterr().out) == {
        "api_key": FIRST.api_key,
        "public_key": FIRST.public_key,
        "operator_token": FIRST.operator_token,
        "environment_id": str(found.environment.environment_id),
    }
    await tenancy.use.revoke_key(found.key_id, a_write())
    with caplog.at_level(logging.WARNING):
        assert await asyncio.to_thread(run_bootstrap) == 0
    assert "the first api_key was revoked or has expired, and stays so" in caplog.messages


@pytest.mark.usefixtures("settings")
async def test_the_command_says_why_it_failed(
    tenancy: StoredTenancy, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await tenancy.add_project("shop", "another")
    assert await asyncio.to_thread(run_bootstrap) == 1
    assert capsys.readouterr().out == ""
    assert "the bootstrap failed" in caplog.messages
