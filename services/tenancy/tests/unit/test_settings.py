"""The settings refuse what is malformed, and say so without showing a secret."""

import json

import pytest
from cryptography.fernet import Fernet
from pydantic import ValidationError
from pydantic_settings import SettingsError

from kongflow_tenancy.settings import BootstrapSettings, TenancySettings

KEY = Fernet.generate_key().decode()
CREDENTIALS = {
    "KONGFLOW_BOOTSTRAP_API_KEY": "tr_dev_ABCDEFGHIJKLMNOPQRST",
    "KONGFLOW_BOOTSTRAP_PUBLIC_KEY": "pk_dev_ABCDEFGHIJKLMNOPQRST",
    "KONGFLOW_BOOTSTRAP_OPERATOR_TOKEN": "op_ABCDEFGHIJKLMNOPQRST",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONGFLOW_DATABASE_URL", "postgresql://127.0.0.1/none")
    monkeypatch.setenv("KONGFLOW_SECRET_KEYS", json.dumps({"first": KEY}))
    for name, text in CREDENTIALS.items():
        monkeypatch.setenv(name, text)


def test_the_order_of_the_encryption_keys_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Fernet.generate_key().decode()
    monkeypatch.setenv("KONGFLOW_SECRET_KEYS", json.dumps({"z": KEY, "a": other}))
    settings = TenancySettings()
    assert list(settings.secret_keys) == ["z", "a"]
    assert settings.secret_keys["z"].get_secret_value() == KEY
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        "{}",
        json.dumps({"first": ""}),
        json.dumps({"first": "s3cret-not-a-key"}),
        json.dumps({"first": KEY[:-4]}),
        json.dumps({"first": KEY + KEY}),
        json.dumps({"first": "ключ"}),
        json.dumps({"": KEY}),
        json.dumps({"first": KEY, "second": "s3cret-not-a-key"}),
        json.dumps(KEY),
        KEY,
    ],
)
def test_malformed_encryption_keys_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("KONGFLOW_SECRET_KEYS", given)
    with pytest.raises((ValidationError, SettingsError)) as refused:
        TenancySettings()
    shown = f"{refused.value} {refused.value!r}"
    assert "secret_keys" in shown
    assert KEY[:20] not in shown
    assert "s3cret" not in shown


def test_without_encryption_keys_there_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KONGFLOW_SECRET_KEYS")
    with pytest.raises(ValidationError, match="secret_keys"):
        TenancySettings()


def test_the_first_credentials_are_taken_and_hidden() -> None:
    settings = BootstrapSettings()
    assert settings.bootstrap_api_key.get_secret_value() == "tr_dev_ABCDEFGHIJKLMNOPQRST"
    assert "ABCDEFGHIJKLMNOPQRST" not in repr(settings)


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "xx_dev_ABCDEFGHIJKLMNOPQRST",
        "tr_dev_ABCDEF",
        "pk_dev_ABCDEF",
        "op_ABCDEF",
        "tr_dev_ABCDEFGHIJKLMNOPQRS-",
        "pk_dev_ABCDEFGHIJKLMNOPQRS-",
        "op_ABCDEFGHIJKLMNOPQRS-",
        "tr_prod_ABCDEFGHIJKLMNOPQRST",
        "pk_prod_ABCDEFGHIJKLMNOPQRST",
    ],
)
def test_malformed_credentials_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ValidationError) as refused:
        BootstrapSettings()
    assert name.removeprefix("KONGFLOW_").lower() in str(refused.value)
    assert "ABCDEF" not in f"{refused.value} {refused.value!r}"
