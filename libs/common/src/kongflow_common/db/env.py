"""What a context's migrations/env.py runs:

from kongflow_common.db.env import run_migrations
from kongflow_tenancy.adapters.tables import METADATA

run_migrations(METADATA)
"""

import os

import sqlalchemy
from alembic import context
from sqlalchemy import Connection, MetaData
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.schema import SchemaItem

from kongflow_common.db.migrate import VERSION_TABLE

__all__ = ["run_migrations"]


def run_migrations(metadata: MetaData) -> None:
    """Run the migrations that Alembic was asked for on the schema of `metadata`.

    On the connection of kongflow_common.db.migrate; or, when the `alembic` command runs (to
    draft a migration, say), on the database that KONGFLOW_DATABASE_URL names.
    """
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        _run(given, metadata)
        return
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(os.environ["KONGFLOW_DATABASE_URL"]).set(
            drivername="postgresql+psycopg"
        ),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        _run(connection, metadata)


def _run(connection: Connection, metadata: MetaData) -> None:
    schema = metadata.schema
    if schema is None:
        raise ValueError("the metadata must name the context's schema")

    def in_own_schema(
        item: SchemaItem, _name: str | None, kind: str, _reflected: bool, _other: SchemaItem | None
    ) -> bool:
        # One database holds all contexts: drafting must not see the tables of the others.
        return not (kind == "table" and getattr(item, "schema", None) != schema)

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_schema=schema,
        include_schemas=True,
        include_object=in_own_schema,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
