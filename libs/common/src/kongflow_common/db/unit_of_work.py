"""The transaction of a use case: committed once, visibly; leaving early rolls back."""

import asyncio
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.db.failures import database_errors, translate_database_error

__all__ = ["UnitOfWork"]


class UnitOfWork:
    """One transaction over one connection, used once.

        async with self._unit_of_work() as uow:
            await uow.events.add(record)
            await uow.commit()

    Contexts subclass it and set their repositories in `attach`. Raises DependencyUnavailable
    and Contended in place of the database's own errors.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: AsyncConnection | None = None
        self._committed = False

    def attach(self, connection: AsyncConnection) -> None:
        """Make the repositories; called when the block is entered."""

    async def before_commit(self) -> None:
        """Write what was held back; part of the transaction."""

    def after_commit(self) -> None:
        """Tell others of what is durable now; must not fail."""

    @property
    def connection(self) -> AsyncConnection:
        """The connection of the open block."""
        if self._connection is None:
            raise RuntimeError("the unit of work is not open")
        return self._connection

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("a unit of work is used once")
        with database_errors():
            self._connection = await self._database.engine.connect()
        try:
            self.attach(self._connection)
        except BaseException:
            await self._connection.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Shielded: a cancelled use case must still give its connection back. Closing rolls back.
        with database_errors():
            await asyncio.shield(self.connection.close())
        if error is not None:
            translated = translate_database_error(error)
            if translated is not None:
                raise translated from error

    async def commit(self) -> None:
        """Make all changes durable. After DependencyUnavailable they may or may not be."""
        if self._committed:
            raise RuntimeError("a unit of work is committed once")
        with database_errors():
            await self.before_commit()
            await self.connection.commit()
        self._committed = True
        self.after_commit()
