"""Puts a new key in the place of another."""

from datetime import timedelta
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.ids import new_id
from kongflow_tenancy.application.create_environment_key import made_before
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.ports import KeyVault, NewUnitOfWork, Write
from kongflow_tenancy.domain.credentials import EnvironmentKey
from kongflow_tenancy.domain.errors import EnvironmentNotFound, KeyNotFound, KeyRevoked


class RotateEnvironmentKey:
    """Creates a key of another one's environment and kind; that works on for the overlap only.

    The new key does not expire: how long it is to live is nowhere said.
    """

    def __init__(
        self, unit_of_work: NewUnitOfWork, maker: KeyMaker, vault: KeyVault, clock: Clock
    ) -> None:
        self._unit_of_work = unit_of_work
        self._maker = maker
        self._vault = vault
        self._clock = clock

    async def __call__(
        self, key_id: UUID, overlap: timedelta, write: Write
    ) -> tuple[EnvironmentKey, str, EnvironmentKey]:
        """The new key, its text, and the old key; raises KeyNotFound and KeyRevoked."""
        replacement_id = new_id()
        async with self._unit_of_work() as uow:
            first = await uow.writes.begin(write, replacement_id)
            old = await uow.keys.find(key_id, lock=True)
            if old is None:
                raise KeyNotFound(id=key_id)
            if first != replacement_id:
                key, text = await made_before(uow, self._vault, first)
                return key, text, old
            if old.revoked_at is not None:
                raise KeyRevoked(subject=f"keys/{key_id}")
            environment = await uow.environments.find(old.environment_id)
            if environment is None:
                raise EnvironmentNotFound(id=old.environment_id)
            new, text = self._maker.make(
                replacement_id, old.environment_id, environment.type, old.kind, None
            )
            key = await uow.keys.add(new)
            now = self._clock.now()
            if overlap:
                # A key that ends sooner by itself is not given more time.
                ends = now + overlap
                ends = ends if old.expires_at is None else min(ends, old.expires_at)
                old = await uow.keys.end(key_id, expires_at=ends)
            else:
                old = await uow.keys.end(key_id, revoked_at=now)
            await uow.writes.audit(
                write,
                f"keys/{key_id}",
                environment_id=old.environment_id,
                kind=old.kind,
                hint=old.hint,
                ends_at=old.revoked_at or old.expires_at,
                replaced_by=replacement_id,
                new_hint=key.hint,
            )
            await uow.commit()
            return key, text, old
