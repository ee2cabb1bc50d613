import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from kongflow_common.auth.service_tokens import (
    ServiceKeyMalformed,
    parse_private_key,
    parse_public_key,
)

KEY = Ed25519PrivateKey.generate()
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "text", [PRIVATE_PEM.decode(), b64(PRIVATE_PEM), b64(KEY.private_bytes_raw())]
)
def test_private_keys_in_each_form(text: str) -> None:
    assert parse_private_key(text).private_bytes_raw() == KEY.private_bytes_raw()
    assert parse_private_key(f"\n {text} \n").private_bytes_raw() == KEY.private_bytes_raw()


@pytest.mark.parametrize(
    "text", [PUBLIC_PEM.decode(), b64(PUBLIC_PEM), b64(KEY.public_key().public_bytes_raw())]
)
def test_public_keys_in_each_form(text: str) -> None:
    assert parse_public_key(text).public_bytes_raw() == KEY.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        b64(b"x" * 31),
        PUBLIC_PEM.decode(),
        KEY.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
        ).decode(),
        generate_private_key(SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
    ],
)
def test_what_is_no_private_key_is_not_repeated(text: str) -> None:
    with pytest.raises(ServiceKeyMalformed) as caught:
        parse_private_key(text)
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "no base64!", b64(b"x" * 31), PRIVATE_PEM.decode()])
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(ServiceKeyMalformed):
        parse_public_key(text)
