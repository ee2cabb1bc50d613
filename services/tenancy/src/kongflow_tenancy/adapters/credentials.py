"""Keys and operators in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_tenancy.adapters.tables import ENVIRONMENT_KEYS, OPERATORS
from kongflow_tenancy.adapters.violations import constraints_as_errors
from kongflow_tenancy.application.ports import NewKey, SealedText
from kongflow_tenancy.domain.credentials import (
    EnvironmentKey,
    KeyKind,
    Operator,
    OperatorPrincipal,
)
from kongflow_tenancy.domain.errors import EnvironmentNotFound

_SHOWN: tuple[ColumnElement[Any], ...] = (
    ENVIRONMENT_KEYS.c.id,
    ENVIRONMENT_KEYS.c.environment_id,
    ENVIRONMENT_KEYS.c.kind,
    ENVIRONMENT_KEYS.c.hint,
    ENVIRONMENT_KEYS.c.created_at,
    ENVIRONMENT_KEYS.c.expires_at,
    ENVIRONMENT_KEYS.c.revoked_at,
)


class PostgresKeys:
    """The keys of environments."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, new: NewKey) -> EnvironmentKey:
        """Stores it; raises EnvironmentNotFound."""
        statement = insert(ENVIRONMENT_KEYS).values(
            id=new.id,
            environment_id=new.environment_id,
            kind=new.kind.value,
            hash=new.hash,
            ciphertext=new.sealed.ciphertext,
            key_id=new.sealed.key_id,
            hint=new.hint,
            expires_at=new.expires_at,
        )
        meanings = {
            "environment_keys_environment_id_fkey": EnvironmentNotFound(id=new.environment_id)
        }
        with constraints_as_errors(meanings):
            rows = await self._connection.execute(statement.returning(*ENVIRONMENT_KEYS.c))
        return _key(rows.one())

    async def find(self, key_id: UUID, *, lock: bool = False) -> EnvironmentKey | None:
        """The key, or ``None``; with ``lock`` nobody else changes it until the commit."""
        query = select(*_SHOWN).where(ENVIRONMENT_KEYS.c.id == key_id)
        if lock:
            query = query.with_for_update()
        row = (await self._connection.execute(query)).one_or_none()
        return _key(row) if row else None

    async def find_hash(self, key_hash: bytes) -> EnvironmentKey | None:
        """The key whose text has this SHA-256, living or not, or ``None``."""
        query = select(*_SHOWN).where(ENVIRONMENT_KEYS.c.hash == key_hash)
        row = (await self._connection.execute(query)).one_or_none()
        return _key(row) if row else None

    async def sealed_text(self, key_id: UUID) -> SealedText | None:
        """The key's encrypted text, or ``None``."""
        query = select(ENVIRONMENT_KEYS.c.ciphertext, ENVIRONMENT_KEYS.c.key_id).where(
            ENVIRONMENT_KEYS.c.id == key_id
        )
        row = (await self._connection.execute(query)).one_or_none()
        return SealedText(bytes(row.ciphertext), row.key_id) if row else None

    async def end(
        self,
        key_id: UUID,
        *,
        expires_at: datetime | None = None,
        revoked_at: datetime | None = None,
    ) -> EnvironmentKey:
        """Sets when the key stops working."""
        given = {"expires_at": expires_at, "revoked_at": revoked_at}
        statement = (
            update(ENVIRONMENT_KEYS)
            .where(ENVIRONMENT_KEYS.c.id == key_id)
            .values({name: time for name, time in given.items() if time is not None})
            .returning(*_SHOWN)
        )
        return _key((await self._connection.execute(statement)).one())

    async def page(
        self, environment_id: UUID, before: UUID | None, limit: int
    ) -> Sequence[EnvironmentKey]:
        """The newest keys of an environment that are older than ``before``."""
        query: Select[Any] = (
            select(*_SHOWN)
            .where(ENVIRONMENT_KEYS.c.environment_id == environment_id)
            .order_by(ENVIRONMENT_KEYS.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(ENVIRONMENT_KEYS.c.id < before)
        return [_key(row) for row in await self._connection.execute(query)]


class PostgresOperators:
    """The operators."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_name(self, name: str) -> Operator | None:
        """The operator of this name, revoked or not, or ``None``."""
        query = select(OPERATORS).where(OPERATORS.c.name == name)
        row = (await self._connection.execute(query)).one_or_none()
        return Operator(row.id, row.name, bytes(row.token_hash), row.revoked_at) if row else None

    async def add(self, operator: OperatorPrincipal, token_hash: bytes) -> None:
        """Stores an operator whose name nobody has."""
        await self._connection.execute(
            insert(OPERATORS).values(
                id=operator.operator_id,
                name=operator.name,
                token_hash=token_hash,
                scopes=list(operator.scopes),
            )
        )

    async def replace_token(self, operator_id: UUID, token_hash: bytes) -> None:
        """Lets another token count, and the one before no longer; ends a revocation."""
        await self._connection.execute(
            update(OPERATORS)
            .where(OPERATORS.c.id == operator_id)
            .values(token_hash=token_hash, revoked_at=None)
        )


def _key(row: Row[Any]) -> EnvironmentKey:
    return EnvironmentKey(
        id=row.id,
        environment_id=row.environment_id,
        kind=KeyKind(row.kind),
        hint=row.hint,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
