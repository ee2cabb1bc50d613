import pytest
from cryptography.fernet import Fernet

from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.application.ports import SealedTextUnreadable

TEXT = "tr_dev_ABCDEFGHIJKLMNOPQRST"


def a_key() -> str:
    return Fernet.generate_key().decode()


def test_the_first_key_seals_and_the_others_still_open() -> None:
    old, new = a_key(), a_key()
    sealed_before = FernetKeyVault({"old": old}).seal(TEXT)
    vault = FernetKeyVault({"new": new, "old": old})
    assert vault.open(sealed_before) == TEXT
    sealed = vault.seal(TEXT)
    assert sealed.key_id == "new"
    assert FernetKeyVault({"new": new}).open(sealed) == TEXT


def test_the_sealed_text_shows_nothing_and_is_never_the_same() -> None:
    vault = FernetKeyVault({"only": a_key()})
    first, second = vault.seal(TEXT), vault.seal(TEXT)
    assert TEXT.encode() not in first.ciphertext
    assert first.ciphertext != second.ciphertext


def test_a_missing_encryption_key_is_named() -> None:
    sealed = FernetKeyVault({"old": a_key()}).seal(TEXT)
    with pytest.raises(SealedTextUnreadable, match="does not have the encryption key 'old'"):
        FernetKeyVault({"new": a_key()}).open(sealed)


def test_another_encryption_key_under_the_same_id_is_noticed() -> None:
    sealed = FernetKeyVault({"only": a_key()}).seal(TEXT)
    with pytest.raises(SealedTextUnreadable, match="'only' is not the one"):
        FernetKeyVault({"only": a_key()}).open(sealed)


def test_there_is_no_vault_without_a_key() -> None:
    with pytest.raises(ValueError, match="names no encryption key"):
        FernetKeyVault({})
