"""Encrypts the texts of keys with Fernet, under keys that come from the settings."""

from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken

from kongflow_tenancy.application.ports import SealedText, SealedTextUnreadable


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
        """Decrypts under the key that sealed it; raises SealedTextUnreadable."""
        fernet = self._fernets.get(sealed.key_id)
        if fernet is None:
            raise SealedTextUnreadable(
                f"KONGFLOW_SECRET_KEYS does not have the encryption key {sealed.key_id!r}"
            )
        try:
            return fernet.decrypt(sealed.ciphertext).decode()
        except InvalidToken as error:
            raise SealedTextUnreadable(
                f"the encryption key {sealed.key_id!r} is not the one that sealed this text"
            ) from error
