"""One transaction over all of tenancy."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.unit_of_work import UnitOfWork
from kongflow_tenancy.adapters.credentials import PostgresKeys, PostgresOperators
from kongflow_tenancy.adapters.tenants import (
    PostgresEnvironments,
    PostgresOrganizations,
    PostgresProjects,
)
from kongflow_tenancy.adapters.writes import PostgresWrites


class PostgresUnitOfWork(UnitOfWork):
    """The TenancyUnitOfWork on PostgreSQL."""

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
