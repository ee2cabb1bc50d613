"""One transaction over all of tenancy."""

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
