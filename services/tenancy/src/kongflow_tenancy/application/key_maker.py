"""Makes keys: their texts, hashes and sealed forms."""

from datetime import datetime
from uuid import UUID

from kongflow_tenancy.application.ports import KeyVault, NewKey
from kongflow_tenancy.domain.credentials import (
    Choose,
    KeyKind,
    credential_hash,
    hint_of,
    new_key_text,
)
from kongflow_tenancy.domain.organization import EnvironmentType


class KeyMaker:
    """Makes the texts of keys with given randomness."""

    def __init__(self, vault: KeyVault, choose: Choose) -> None:
        self._vault = vault
        self._choose = choose

    def make(
        self,
        key_id: UUID,
        environment_id: UUID,
        environment_type: EnvironmentType,
        kind: KeyKind,
        expires_at: datetime | None,
    ) -> tuple[NewKey, str]:
        """A key that nobody has seen, with its text."""
        text = new_key_text(kind, environment_type, self._choose)
        return self.wrap(key_id, environment_id, kind, text, expires_at), text

    def wrap(
        self,
        key_id: UUID,
        environment_id: UUID,
        kind: KeyKind,
        text: str,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """A key with a given text."""
        return NewKey(
            id=key_id,
            environment_id=environment_id,
            kind=kind,
            hash=credential_hash(text),
            sealed=self._vault.seal(text),
            hint=hint_of(text),
            expires_at=expires_at,
        )
