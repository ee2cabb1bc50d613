"""What tenancy is told from outside, beside what every service is."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from kongflow_common.settings import ServiceSettings


def credential(prefix: str) -> AfterValidator:
    """Takes only credentials that begin so and have at least 20 letters and digits behind it."""
    form = re.compile(f"{prefix}[A-Za-z0-9]{{20,}}")

    def check(secret: SecretStr) -> SecretStr:
        if form.fullmatch(secret.get_secret_value()) is None:
            raise ValueError(f"must be {prefix} and at least 20 letters and digits")
        return secret

    return AfterValidator(check)


class TenancySettings(ServiceSettings):
    """Settings of the tenancy service."""

    secret_keys: dict[str, SecretStr] = Field(min_length=1)
    """Fernet keys by their id. The first seals; the others open what they sealed before."""


class BootstrapSettings(TenancySettings):
    """The first credentials."""

    bootstrap_api_key: Annotated[SecretStr, credential("tr_dev_")]
    bootstrap_public_key: Annotated[SecretStr, credential("pk_dev_")]
    bootstrap_operator_token: Annotated[SecretStr, credential("op_")]
