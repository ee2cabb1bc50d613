"""Bringing a context's schema to a revision, safely beside running services and other migrators.

Alembic does the work. Around it: the version table stands in the context's own schema; an
advisory lock lets one migrator in at a time; a lock that traffic holds is waited for only
briefly and asked for again, because whoever waits for a lock makes everybody behind wait too.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
import sqlalchemy
from psycopg import sql
from sqlalchemy.pool import NullPool

from kongflow_common.db.connection_pool import connection_parameters

__all__ = ["VERSION_TABLE", "current", "downgrade", "head", "upgrade"]

logger = logging.getLogger(__name__)

VERSION_TABLE = "alembic_version"

_LOCK_TIMEOUT = "4s"
_STATEMENT_TIMEOUT = "300s"
_OTHER_MIGRATOR_TIMEOUT = "120s"
_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0

_REVISION = re.compile(r"""^revision(?:\s*:[^=]+)?\s*=\s*["']([^"']+)["']""", re.MULTILINE)
_DOWN_REVISION = re.compile(
    r"""^down_revision(?:\s*:[^=]+)?\s*=\s*["']([^"']+)["']""", re.MULTILINE
)


def upgrade(url: str, script_location: Path, schema: str, revision: str = "head") -> None:
    """Bring `schema` of the database at `url` up to `revision`; nothing when it is there already.

    `script_location` is the context's migrations folder. Blocks. Raises psycopg or SQLAlchemy
    errors when the database cannot be reached or a step fails; the steps before it stay.
    """
    target = head(script_location) if revision == "head" else revision
    if current(url, schema) == target:
        logger.info("schema %s is at revision %s already", schema, target)
        return
    _migrate(url, script_location, schema, "upgrade", revision)


def downgrade(url: str, script_location: Path, schema: str, revision: str) -> None:
    """Take `schema` back to `revision`; `base` is before the first. Otherwise as `upgrade`."""
    _migrate(url, script_location, schema, "downgrade", revision)


def current(url: str, schema: str) -> str | None:
    """The revision that `schema` is at; None when no migration has run."""
    with psycopg.connect(_conninfo(url)) as connection:
        table = sql.Identifier(schema, VERSION_TABLE)
        # Asked for by name first: a failing SELECT would stand as an error in the server's log.
        known = connection.execute("SELECT to_regclass(%s)", [table.as_string(connection)])
        if known.fetchone() == (None,):
            return None
        query = sql.SQL("SELECT version_num FROM {}").format(table)
        row = connection.execute(query).fetchone()
    return str(row[0]) if row is not None else None


def head(script_location: Path) -> str:
    """The newest revision, read from the scripts' text: importing Alembic takes half a second.

    Raises ValueError unless there is exactly one that no other builds on.
    """
    revisions: set[str] = set()
    built_upon: set[str] = set()
    for script in sorted((script_location / "versions").glob("*.py")):
        text = script.read_text(encoding="utf-8")
        revisions.update(_REVISION.findall(text))
        built_upon.update(_DOWN_REVISION.findall(text))
    heads = revisions - built_upon
    if len(heads) != 1:
        raise ValueError(f"{script_location} has {len(heads)} newest revisions, not one")
    return heads.pop()


def _conninfo(url: str) -> str:
    settings = {"statement_timeout": _STATEMENT_TIMEOUT, "timezone": "UTC"}
    return connection_parameters(url, application_name="kongflow-migrate", settings=settings)


def _migrate(
    url: str,
    script_location: Path,
    schema: str,
    direction: Literal["upgrade", "downgrade"],
    revision: str,
) -> None:
    # Imported here: a service that finds its schema up to date never needs them.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    run = command.upgrade if direction == "upgrade" else command.downgrade
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    with _only_migrator(url, schema) as connection:
        config.attributes["connection"] = connection
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                run(config, revision)
            except sqlalchemy.exc.OperationalError as error:
                in_use = isinstance(error.orig, psycopg.errors.LockNotAvailable)
                if not in_use or attempt == _ATTEMPTS:
                    raise
                logger.warning(
                    "a table of schema %s is in use; attempt %s of %s", schema, attempt, _ATTEMPTS
                )
                connection.rollback()
                time.sleep(_PAUSE_SECONDS)
            else:
                break
    logger.info("schema %s is at revision %s", schema, current(url, schema) or "base")


@contextmanager
def _only_migrator(url: str, schema: str) -> Iterator[sqlalchemy.Connection]:
    """Connect, wait for other migrators of the schema to end, and see that the schema exists."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(_conninfo(url)), poolclass=NullPool
    )
    name = sql.Identifier(schema).as_string()
    with engine.connect() as connection:
        # The lock belongs to the session: it outlives the transactions, and dies with us.
        connection.exec_driver_sql(f"SET lock_timeout = '{_OTHER_MIGRATOR_TIMEOUT}'")
        connection.exec_driver_sql(
            "SELECT pg_advisory_lock(hashtext('kongflow.migrate'), hashtext(%s))", (schema,)
        )
        connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name}")
        connection.commit()
        yield connection
    engine.dispose()
