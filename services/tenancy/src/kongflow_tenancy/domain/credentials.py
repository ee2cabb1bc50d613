"""The texts of keys and tokens: how they are made, recognised and shown."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from kongflow_tenancy.domain.organization import EnvironmentContext, EnvironmentType

KEY_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SHORTCODE_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
KEY_LENGTH = 20
SHORTCODE_LENGTH = 5
_HINT_TAIL = 4

Choose = Callable[[Sequence[str]], str]
"""Picks one of the characters, so that nobody can guess which: `secrets.choice`."""

_ENVIRONMENT_CODES = {
    EnvironmentType.DEVELOPMENT: "dev",
    EnvironmentType.STAGING: "stg",
    EnvironmentType.PRODUCTION: "prod",
    EnvironmentType.PREVIEW: "preview",
}


class KeyKind(StrEnum):
    """What a key opens; the values are those of the database."""

    SECRET = "secret"
    PUBLIC = "public"


_KEY_PREFIXES = {KeyKind.SECRET: "tr", KeyKind.PUBLIC: "pk"}


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """A key as lists show it: without its text."""

    id: UUID
    environment_id: UUID
    kind: KeyKind
    hint: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def lives(self, now: datetime) -> bool:
        """Whether the key opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """What a living key stands for."""

    key_id: UUID
    kind: KeyKind
    environment: EnvironmentContext
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class OperatorPrincipal:
    """What an operator's token stands for. The scope `*` is everything."""

    operator_id: UUID
    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator as stored: whom the token with this SHA-256 stands for, unless revoked."""

    id: UUID
    name: str
    token_hash: bytes
    revoked_at: datetime | None


def new_key_text(kind: KeyKind, environment_type: EnvironmentType, choose: Choose) -> str:
    """A key as the SDK takes it: `tr_dev_` or `pk_dev_` and 20 letters and digits."""
    return "_".join(
        (
            _KEY_PREFIXES[kind],
            _ENVIRONMENT_CODES[environment_type],
            random_text(KEY_CHARACTERS, KEY_LENGTH, choose),
        )
    )


def new_shortcode(choose: Choose) -> str:
    """A few characters that nobody confuses, for URLs."""
    return random_text(SHORTCODE_CHARACTERS, SHORTCODE_LENGTH, choose)


def random_text(characters: str, length: int, choose: Choose) -> str:
    """So many of the characters, each picked by itself."""
    return "".join(choose(characters) for _ in range(length))


def credential_hash(text: str) -> bytes:
    """What a key or token is found by: its SHA-256. They are too random to be guessed from it."""
    return hashlib.sha256(text.encode()).digest()


def hint_of(text: str) -> str:
    """How a key begins and ends, to tell keys apart by eye: `tr_dev_...x7Qa`."""
    prefix, _, random_part = text.rpartition("_")
    return f"{prefix}_...{random_part[-_HINT_TAIL:]}"
