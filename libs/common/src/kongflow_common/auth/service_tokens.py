"""The identity of a service: short-lived tokens that it signs itself, one per audience.

A token is a JWT signed with Ed25519 (`EdDSA`): `iss` is the service that calls, `aud` the
service that is called. It lives for ten minutes and is accepted with clocks that differ by
as much.
"""

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from kongflow_common.auth.errors import ServiceTokenInvalid
from kongflow_common.auth.principals import CallerKind, Principal

__all__ = [
    "ServiceKeyMalformed",
    "ServiceTokenSigner",
    "ServiceTokenVerifier",
    "parse_private_key",
    "parse_public_key",
]

TOKEN_LIFETIME_SECONDS = 600
CLOCK_DIFFERENCE_SECONDS = 600

_ALGORITHM = "EdDSA"
_KEPT_TOKENS = 1_024
_RAW_KEY_BYTES = 32


class ServiceKeyMalformed(ValueError):
    """A configured service key is not an Ed25519 key in PEM, or base64 of one."""


def parse_private_key(text: str) -> Ed25519PrivateKey:
    """Read a private key: PEM text, base64 of it, or base64 of the 32 raw bytes.

    Raises ServiceKeyMalformed, without the text.
    """
    raw = _decode_key(text)
    try:
        if len(raw) == _RAW_KEY_BYTES:
            return Ed25519PrivateKey.from_private_bytes(raw)
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ServiceKeyMalformed("the private key of this service cannot be read") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ServiceKeyMalformed("the private key of this service is not an Ed25519 key")
    return key


def parse_public_key(text: str) -> Ed25519PublicKey:
    """Read a public key: PEM text, base64 of it, or base64 of the 32 raw bytes.

    Raises ServiceKeyMalformed.
    """
    raw = _decode_key(text)
    try:
        if len(raw) == _RAW_KEY_BYTES:
            return Ed25519PublicKey.from_public_bytes(raw)
        key = load_pem_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ServiceKeyMalformed("the public key of a service cannot be read") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ServiceKeyMalformed("the public key of a service is not an Ed25519 key")
    return key


def _decode_key(text: str) -> bytes:
    stripped = text.strip()
    if stripped.startswith("-----BEGIN"):
        return stripped.encode()
    try:
        return base64.b64decode("".join(stripped.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ServiceKeyMalformed("a service key is neither PEM text nor base64") from None


class ServiceTokenSigner:
    """Signs the tokens with which `service` calls others.

    A token is used for half of its life and then signed anew. `now` gives Unix seconds.
    """

    def __init__(
        self,
        service: str,
        private_key: Ed25519PrivateKey,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._private_key = private_key
        self._now = now
        self._signed: dict[str, tuple[str, float]] = {}

    @property
    def service(self) -> str:
        return self._service

    def token(self, audience: str) -> str:
        """A token for calls to `audience`."""
        now = self._now()
        held = self._signed.get(audience)
        # A clock that was set back must not keep a token in use beyond its life.
        if held is not None and 0 <= now - held[1] < TOKEN_LIFETIME_SECONDS / 2:
            return held[0]
        claims = {
            "iss": self._service,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + TOKEN_LIFETIME_SECONDS,
        }
        token = jwt.encode(claims, self._private_key, algorithm=_ALGORITHM)
        self._signed[audience] = (token, now)
        return token


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    accepted_until: float


class ServiceTokenVerifier:
    """Checks the tokens of services that call `audience`.

    `public_keys` holds the key of each service that may call. Tokens that were found good
    are remembered by their hash. `now` gives Unix seconds.
    """

    def __init__(
        self,
        audience: str,
        public_keys: Mapping[str, Ed25519PublicKey],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._audience = audience
        self._public_keys = dict(public_keys)
        self._now = now
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """Tell which service signed the token. Raises ServiceTokenInvalid, saying why."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        held = self._verified.get(digest)
        if held is not None:
            if self._now() < held.accepted_until:
                return held.principal
            del self._verified[digest]
        verified = self._check(token)
        self._verified[digest] = verified
        if len(self._verified) > _KEPT_TOKENS:
            self._verified.popitem(last=False)
        return verified.principal

    def _check(self, token: str) -> _Verified:
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError:
            raise ServiceTokenInvalid("The service token cannot be read") from None
        key = self._public_keys.get(issuer) if isinstance(issuer, str) else None
        if not isinstance(issuer, str) or key is None:
            raise ServiceTokenInvalid("The service token is of a service that is not known here")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=issuer,
                # Times are checked below, against a clock that tests can set.
                options={
                    "require": ["exp", "iat", "iss", "aud"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidAudienceError:
            raise ServiceTokenInvalid("The service token is for another audience") from None
        except jwt.PyJWTError:
            raise ServiceTokenInvalid("The service token is not signed as it says") from None
        return _Verified(
            Principal(kind=CallerKind.SERVICE, name=issuer),
            self._accepted_until(claims.get("iat"), claims.get("exp")),
        )

    def _accepted_until(self, issued: object, expires: object) -> float:
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise ServiceTokenInvalid("The service token does not say when it ends")
        if not 0 < expires - issued <= TOKEN_LIFETIME_SECONDS:
            raise ServiceTokenInvalid("The service token lives longer than a token may")
        now = self._now()
        if issued > now + CLOCK_DIFFERENCE_SECONDS:
            raise ServiceTokenInvalid("The service token is not valid yet")
        accepted_until = expires + CLOCK_DIFFERENCE_SECONDS
        if now >= accepted_until:
            raise ServiceTokenInvalid("The service token has expired")
        return float(accepted_until)
