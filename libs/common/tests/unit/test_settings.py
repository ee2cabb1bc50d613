"""Settings from the environment."""

import pytest
from pydantic import ValidationError

from kongflow_common.settings import ServiceSettings


@pytest.fixture(autouse=True)
def _only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONGFLOW_DATABASE_URL", "postgresql://u:secret@host/db")


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONGFLOW_LISTEN", "0.0.0.0:50051")
    monkeypatch.setenv("KONGFLOW_SERVICE_PUBLIC_KEYS", '{"events": "key"}')
    monkeypatch.setenv("KONGFLOW_LOG_LEVEL", "DEBUG")
    settings = ServiceSettings()
    assert settings.listen == "0.0.0.0:50051"
    assert settings.service_public_keys == {"events": "key"}
    assert settings.log_level == "DEBUG"
    assert settings.database_url.get_secret_value() == "postgresql://u:secret@host/db"


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(ServiceSettings())


def test_settings_are_frozen() -> None:
    settings = ServiceSettings()
    with pytest.raises(ValidationError):
        settings.listen = "elsewhere:1"  # type: ignore[misc]


def test_an_error_names_the_setting_and_keeps_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KONGFLOW_DATABASE_URL")
    monkeypatch.setenv("KONGFLOW_DATABASE_POOL_SIZE", "hunter2")
    with pytest.raises(ValidationError) as caught:
        ServiceSettings()
    assert "database_url" in str(caught.value)
    assert "database_pool_size" in str(caught.value)
    assert "hunter2" not in str(caught.value)
