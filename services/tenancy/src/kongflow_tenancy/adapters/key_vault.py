"""Encrypts the texts of keys with Fernet, under keys that come from the settings."""

from collections.abc import Mapping

from cryptography.fernet import Fernet

from kongflow_tenancy.application.ports import SealedText


class FernetKeyVault:
    """Seals under the first of the given keys and opens under any of them.

    ``keys`` maps a key's id, which is stored with what it sealed, to a Fernet key. Raises
    ValueError when there is none, or one is malformed: without its key the service must not
    start.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        if not keys:
            raise ValueError("KONGFLOW_SECRET_KEYS names no encryption key")
        self._current = next(iter(keys))
        self._fernets = {key_id: Fernet(key) for key_id, key in keys.items()}

    def seal(self, text: str) -> SealedText:
        """Encrypts under the current key."""
        return SealedText(self._fernets[self._current].encrypt(text.encode()), self._current)

    def open(self, sealed: SealedText) -> str:
        """Decrypts; raises LookupError when the key is not in the settings."""
        return self._fernets[sealed.key_id].decrypt(sealed.ciphertext).decode()
