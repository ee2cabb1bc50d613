"""A migrated database, the use cases on it, and the whole context on a real channel."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from kongflow_common.auth.credentials import CachedCredentialResolver
from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.grpc_server import in_process_server
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.adapters.own_credentials import OwnCredentialLookup
from kongflow_tenancy.adapters.principals import PostgresPrincipals
from kongflow_tenancy.application.look_up_principal import LookUpCredential, LookUpEnvironment
from kongflow_tenancy.main import grpc_services
from kongflow_tenancy.rpc.error_catalog import CATALOG
from services.tenancy.tests.tenancy_context import StoredTenancy, TenancyContext, WallClock

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture(scope="module")
def tenancy_url(database_url: str) -> str:
    """A database with the schema of this context."""
    upgrade(database_url, MIGRATIONS, "tenancy")
    return database_url


@pytest.fixture
async def database(tenancy_url: str) -> AsyncIterator[Database]:
    async with Database.connect(tenancy_url, pool_size=8, application_name="tests") as database:
        yield database
        await database.pool.execute(
            "TRUNCATE tenancy.organizations, tenancy.operators, tenancy.write_requests, "
            "tenancy.audit_entries, tenancy.outbox, tenancy.published_events, "
            "tenancy.replayed_events CASCADE"
        )


@pytest.fixture
def vault() -> FernetKeyVault:
    return FernetKeyVault({"tests": Fernet.generate_key().decode()})


@pytest.fixture
def tenancy(database: Database, vault: FernetKeyVault, fixed_clock: FixedClock) -> StoredTenancy:
    """The use cases on the real database, at a time that stands still."""
    return StoredTenancy(database, vault, fixed_clock)


@pytest.fixture
async def relay(
    database: Database, worker_queue: RecordingWorkerQueue
) -> AsyncIterator[OutboxRelay]:
    async with OutboxRelay(database, "tenancy", worker_queue, instance="tests") as relay:
        yield relay


@pytest.fixture
async def context(
    database: Database, relay: OutboxRelay, vault: FernetKeyVault
) -> AsyncIterator[TenancyContext]:
    """The tenancy service in this process, which knows callers from its own database."""
    clock = WallClock()
    principals = PostgresPrincipals(database)
    resolver = CachedCredentialResolver(
        OwnCredentialLookup(LookUpCredential(principals, clock), LookUpEnvironment(principals))
    )
    client_services, tasks_services = grpc_services(database, relay, vault, clock)
    async with in_process_server(
        catalog=CATALOG,
        client_services=client_services,
        tasks_services=tasks_services,
        resolver=resolver,
        probe=database.ping,
    ) as server:
        context = TenancyContext(server, StoredTenancy(database, vault, clock), clock)
        context.operator = await context.stored.add_operator("root", "*")
        yield context
    await resolver.close()
