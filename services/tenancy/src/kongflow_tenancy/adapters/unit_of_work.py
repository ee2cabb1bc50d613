"""One transaction over all of tenancy."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.outbox.store import PublishingUnitOfWork
from kongflow_tenancy.adapters.credentials import PostgresKeys, PostgresOperators
from kongflow_tenancy.adapters.tables import SCHEMA
from kongflow_tenancy.adapters.tenants import (
    PostgresEnvironments,
    PostgresOrganizations,
    PostgresProjects,
)
from kongflow_tenancy.adapters.writes import PostgresWrites


class PostgresUnitOfWork(PublishingUnitOfWork):
    """The TenancyUnitOfWork on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, SCHEMA)

    def attach(self, connection: AsyncConnection) -> None:
        """Makes the repositories."""
        self.organizations = PostgresOrganizations(connection)
        self.projects = PostgresProjects(connection)
        self.environments = PostgresEnvironments(connection)
        self.keys = PostgresKeys(connection)
        self.operators = PostgresOperators(connection)
        self.writes = PostgresWrites(connection)

    async def alone(self, purpose: str) -> None:
        """Waits until no other transaction is alone for this purpose; ends with the transaction."""
        key = func.hashtextextended(f"tenancy {purpose}", 0)
        await self.connection.execute(select(func.pg_advisory_xact_lock(key)))
