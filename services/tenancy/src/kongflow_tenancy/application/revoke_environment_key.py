"""Revokes a key."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_tenancy.application.ports import NewUnitOfWork, Write
from kongflow_tenancy.domain.credentials import EnvironmentKey
from kongflow_tenancy.domain.errors import KeyNotFound


class RevokeEnvironmentKey:
    """Ends a key; other services notice within 5 seconds."""

    def __init__(self, unit_of_work: NewUnitOfWork, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, key_id: UUID, write: Write) -> EnvironmentKey:
        """The revoked key, with the time of its first revocation; raises KeyNotFound."""
        async with self._unit_of_work() as uow:
            key = await uow.keys.find(key_id, lock=True)
            if key is None:
                raise KeyNotFound(id=key_id)
            if key.revoked_at is not None:
                return key
            key = await uow.keys.end(key_id, revoked_at=self._clock.now())
            await uow.writes.audit(
                write,
                f"keys/{key_id}",
                environment_id=key.environment_id,
                kind=key.kind,
                hint=key.hint,
            )
            await uow.commit()
            return key
