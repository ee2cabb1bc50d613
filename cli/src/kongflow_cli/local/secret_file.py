"""The keys and passwords of a development system: made once, kept in one file of mode 0600."""

import base64
import json
import secrets
import stat
import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kongflow_cli.errors import CliError
from kongflow_cli.local.state_folder import write_private

_KEY_ALPHABET = string.ascii_letters + string.digits
_KEY_LENGTH = 20


@dataclass(frozen=True, slots=True)
class ServiceKeyPair:
    """A service's Ed25519 identity, both keys as PEM text."""

    private_key: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything secret of one system."""

    postgres_password: str
    valkey_password: str
    secret_key_id: str
    secret_key: str
    """The Fernet key under which tenancy stores API keys."""
    service_keys: dict[str, ServiceKeyPair]
    api_key: str
    public_key: str
    operator_token: str

    def __repr__(self) -> str:
        return "Secrets(...)"


def load_or_make(path: Path, services: Sequence[str], *, data: Path | None = None) -> Secrets:
    """Returns the secrets of `path`, made now where they are missing.

    Raises CliError when the file is not what was written there, or is missing while `data`,
    which only its secrets open, is there.
    """
    if not path.exists():
        if data is not None and data.exists():
            raise CliError(
                f"{path} is missing, and nothing else opens the data in {path.parent}. "
                "Put the file back, or delete the data: kongflow reset."
            )
        made = _make(services)
        _save(path, made)
        return made
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o600)
    loaded = _load(path)
    missing = [name for name in services if name not in loaded.service_keys]
    if missing:
        # A service that is new since the file was made.
        loaded.service_keys.update({name: _make_key_pair() for name in missing})
        _save(path, loaded)
    return loaded


def _make(services: Sequence[str]) -> Secrets:
    return Secrets(
        postgres_password=secrets.token_hex(20),
        valkey_password=secrets.token_hex(20),
        secret_key_id="local-1",
        secret_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        service_keys={name: _make_key_pair() for name in services},
        api_key=f"tr_dev_{_random_key()}",
        public_key=f"pk_dev_{_random_key()}",
        operator_token=f"op_{_random_key()}",
    )


def _random_key() -> str:
    return "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_LENGTH))


def _make_key_pair() -> ServiceKeyPair:
    # Needed at the first start only, and slow to import.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return ServiceKeyPair(private.decode(), public.decode())


def _save(path: Path, content: Secrets) -> None:
    write_private(path, json.dumps(asdict(content), indent=2))


def _load(path: Path) -> Secrets:
    try:
        content = json.loads(path.read_bytes())
        pairs = {name: ServiceKeyPair(**pair) for name, pair in content["service_keys"].items()}
        return Secrets(**{**content, "service_keys": pairs})
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise CliError(
            f"{path} does not hold this system's keys (was it edited?). Put the file back, or end "
            "the system and remove the whole state folder to begin anew."
        ) from None
