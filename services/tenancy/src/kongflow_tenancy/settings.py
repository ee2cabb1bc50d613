"""What tenancy is told from outside, beside what every service is."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from kongflow_common.settings import ServiceSettings

_FERNET_KEY = re.compile(r"[A-Za-z0-9_+/-]{43}=")


def credential(prefix: str) -> AfterValidator:
    """Takes only credentials that begin so and have at least 20 letters and digits behind it."""
    form = re.compile(f"{prefix}[A-Za-z0-9]{{20,}}")

    def check(secret: SecretStr) -> SecretStr:
        if form.fullmatch(secret.get_secret_value()) is None:
            raise ValueError(f"must be {prefix} and at least 20 letters and digits")
        return secret

    return AfterValidator(check)


def fernet_key(secret: SecretStr) -> SecretStr:
    """Takes only what Fernet can encrypt with, and nothing around it, which Fernet may skip."""
    if _FERNET_KEY.fullmatch(secret.get_secret_value()) is None:
        raise ValueError("must be 32 bytes as base64: a Fernet key")
    return secret


KeyId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
FernetKey = Annotated[SecretStr, AfterValidator(fernet_key)]


class TenancySettings(ServiceSettings):
    """Settings of the tenancy service."""

    secret_keys: dict[KeyId, FernetKey] = Field(min_length=1)
    """Fernet keys by their id. The first seals; the others open what they sealed before."""


class BootstrapSettings(TenancySettings):
    """The first credentials."""

    bootstrap_api_key: Annotated[SecretStr, credential("tr_dev_")]
    bootstrap_public_key: Annotated[SecretStr, credential("pk_dev_")]
    bootstrap_operator_token: Annotated[SecretStr, credential("op_")]
