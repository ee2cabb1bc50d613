"""Keys and operators in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_tenancy.adapters.tables import ENVIRONMENT_KEYS, ENVIRONMENTS, OPERATORS
from kongflow_tenancy.adapters.tenants import environment_context, environment_contexts
from kongflow_tenancy.adapters.violations import constraints_as_errors
from kongflow_tenancy.application.ports import NewKey, SealedText
from kongflow_tenancy.domain.credentials import (
    EnvironmentKey,
    KeyKind,
    KeyPrincipal,
    OperatorPrincipal,
)

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
        with constraints_as_errors():
            rows = await self._connection.execute(statement.returning(*ENVIRONMENT_KEYS.c))
        return _key(rows.one())

    async def find(self, key_id: UUID, *, lock: bool = False) -> EnvironmentKey | None:
        """The key, or ``None``; with ``lock`` nobody else changes it until the commit."""
        query = select(*_SHOWN).where(ENVIRONMENT_KEYS.c.id == key_id)
        if lock:
            query = query.with_for_update()
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

    async def principal(self, key_hash: bytes, now: datetime) -> KeyPrincipal | None:
        """What a living key stands for, or ``None``."""
        query = (
            environment_contexts(
                ENVIRONMENT_KEYS.c.id.label("key_id"),
                ENVIRONMENT_KEYS.c.kind,
                ENVIRONMENT_KEYS.c.expires_at,
            )
            .join(ENVIRONMENT_KEYS, ENVIRONMENT_KEYS.c.environment_id == ENVIRONMENTS.c.id)
            .where(
                ENVIRONMENT_KEYS.c.hash == key_hash,
                ENVIRONMENT_KEYS.c.revoked_at.is_(None),
                or_(ENVIRONMENT_KEYS.c.expires_at.is_(None), ENVIRONMENT_KEYS.c.expires_at > now),
            )
        )
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            return None
        return KeyPrincipal(row.key_id, KeyKind(row.kind), environment_context(row), row.expires_at)


class PostgresOperators:
    """The operators."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, principal: OperatorPrincipal, token_hash: bytes) -> None:
        """Stores an operator; one whose name is there already gets token and scopes anew."""
        statement = postgresql.insert(OPERATORS).values(
            id=principal.operator_id,
            name=principal.name,
            token_hash=token_hash,
            scopes=list(principal.scopes),
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[OPERATORS.c.name],
                set_={
                    "token_hash": statement.excluded.token_hash,
                    "scopes": statement.excluded.scopes,
                    "revoked_at": None,
                },
            )
        )

    async def principal(self, token_hash: bytes) -> OperatorPrincipal | None:
        """Whom a token stands for, or ``None``."""
        query = select(OPERATORS.c.id, OPERATORS.c.name, OPERATORS.c.scopes).where(
            OPERATORS.c.token_hash == token_hash, OPERATORS.c.revoked_at.is_(None)
        )
        row = (await self._connection.execute(query)).one_or_none()
        return OperatorPrincipal(row.id, row.name, tuple(row.scopes)) if row else None


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
