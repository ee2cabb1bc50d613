"""What every service is told from outside: environment variables that begin with KONGFLOW_."""

import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Misconfigured", "ServiceSettings"]


class Misconfigured(ValueError):
    """A service was told to use what cannot be used; the message is for the one who told it."""


def _default_instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(BaseSettings):
    """The settings that services have in common; each context adds its own.

    Addresses are `host:port`. Raises pydantic.ValidationError, without the values, when one
    is missing or malformed.
    """

    model_config = SettingsConfigDict(
        env_prefix="KONGFLOW_",
        frozen=True,
        extra="ignore",
        # A refused setting may be a secret: the error names it and does not show it.
        hide_input_in_errors=True,
    )

    database_url: SecretStr
    database_pool_size: int = Field(default=4, ge=1, le=100)
    """Connections for hot statements, and as many again for ordinary use cases."""

    listen: str = "127.0.0.1:0"
    tasks_listen: str = "127.0.0.1:0"

    tenancy_target: str = ""
    events_target: str = ""
    endpoints_target: str = ""
    jobs_target: str = ""
    runs_target: str = ""
    workerqueue_target: str = ""

    service_key: SecretStr = SecretStr("")
    """This service's Ed25519 private key, PEM text or base64 of it."""
    service_public_keys: dict[str, str] = Field(default_factory=dict)
    """The public key of each service that may call this one."""

    reflection: bool = True
    drain_seconds: float = Field(default=20.0, ge=0)
    metrics_listen: str = ""
    """Where Prometheus may ask; nowhere when empty."""

    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None

    instance: str = Field(default_factory=_default_instance, min_length=1)
    log_format: Literal["json", "text"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
