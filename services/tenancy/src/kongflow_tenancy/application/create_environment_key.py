"""Creates a key of an environment."""

from datetime import datetime
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.ports import KeyVault, NewUnitOfWork, TenancyUnitOfWork, Write
from kongflow_tenancy.domain.credentials import EnvironmentKey, KeyKind
from kongflow_tenancy.domain.errors import EnvironmentNotFound, KeyNotFound


class CreateEnvironmentKey:
    """Stores a key once per request id; a repeat answers with the same text."""

    def __init__(
        self, unit_of_work: NewUnitOfWork, maker: KeyMaker, vault: KeyVault, clock: Clock
    ) -> None:
        self._unit_of_work = unit_of_work
        self._maker = maker
        self._vault = vault
        self._clock = clock

    async def __call__(
        self, environment_id: UUID, kind: KeyKind, expires_at: datetime | None, write: Write
    ) -> tuple[EnvironmentKey, str]:
        """The key and its text; raises EnvironmentNotFound, and InvalidField for a time past."""
        key_id = new_id()
        async with self._unit_of_work() as uow:
            first = await uow.writes.begin(write, key_id)
            if first != key_id:
                return await made_before(uow, self._vault, first)
            # Not for a repeat, whose key may have ended by now.
            if expires_at is not None and expires_at <= self._clock.now():
                raise InvalidField("expire_time", "must be in the future")
            environment = await uow.environments.find(environment_id)
            if environment is None:
                raise EnvironmentNotFound(id=environment_id)
            new, text = self._maker.make(key_id, environment_id, environment.type, kind, expires_at)
            key = await uow.keys.add(new)
            await uow.writes.audit(
                write,
                f"keys/{key_id}",
                environment_id=environment_id,
                kind=kind,
                hint=key.hint,
                expires_at=expires_at,
            )
            await uow.commit()
            return key, text


async def made_before(
    uow: TenancyUnitOfWork, vault: KeyVault, key_id: UUID
) -> tuple[EnvironmentKey, str]:
    """The key that an earlier call with the request id made, with its text."""
    key = await uow.keys.find(key_id)
    sealed = await uow.keys.sealed_text(key_id)
    if key is None or sealed is None:
        raise KeyNotFound(id=key_id)
    return key, vault.open(sealed)
