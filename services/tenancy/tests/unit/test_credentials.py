import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from kongflow_common.ids import new_id
from kongflow_tenancy.domain.credentials import (
    SHORTCODE_CHARACTERS,
    EnvironmentKey,
    KeyKind,
    credential_hash,
    hint_of,
    new_key_text,
    new_shortcode,
)
from kongflow_tenancy.domain.organization import EnvironmentType

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("kind", "environment_type", "prefix"),
    [
        (KeyKind.SECRET, EnvironmentType.DEVELOPMENT, "tr_dev_"),
        (KeyKind.SECRET, EnvironmentType.STAGING, "tr_stg_"),
        (KeyKind.SECRET, EnvironmentType.PRODUCTION, "tr_prod_"),
        (KeyKind.SECRET, EnvironmentType.PREVIEW, "tr_preview_"),
        (KeyKind.PUBLIC, EnvironmentType.DEVELOPMENT, "pk_dev_"),
        (KeyKind.PUBLIC, EnvironmentType.PRODUCTION, "pk_prod_"),
    ],
)
def test_a_key_begins_with_its_kind_and_environment(
    kind: KeyKind, environment_type: EnvironmentType, prefix: str
) -> None:
    text = new_key_text(kind, environment_type, secrets.choice)
    assert re.fullmatch(f"{prefix}[A-Za-z0-9]{{20}}", text)


def test_every_character_of_a_key_is_picked_by_itself() -> None:
    picks = iter("ABCDEFGHIJKLMNOPQRST")
    text = new_key_text(KeyKind.SECRET, EnvironmentType.DEVELOPMENT, lambda _: next(picks))
    assert text == "tr_dev_ABCDEFGHIJKLMNOPQRST"


def test_a_hint_shows_the_beginning_and_four_characters() -> None:
    assert hint_of("tr_dev_ABCDEFGHIJKLMNOPx7Qa") == "tr_dev_...x7Qa"


def test_a_credential_is_found_by_its_sha_256() -> None:
    assert credential_hash("tr_dev_x") == hashlib.sha256(b"tr_dev_x").digest()


def test_a_shortcode_has_no_characters_that_look_alike() -> None:
    assert not set("lo01") & set(SHORTCODE_CHARACTERS)
    assert re.fullmatch(f"[{SHORTCODE_CHARACTERS}]{{5}}", new_shortcode(secrets.choice))


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "lives"),
    [
        (None, None, True),
        (NOW + SECOND, None, True),
        (NOW, None, False),
        (NOW - SECOND, None, False),
        (None, NOW - SECOND, False),
        (NOW + SECOND, NOW - SECOND, False),
    ],
)
def test_a_key_lives_until_it_expires_or_is_revoked(
    expires_at: datetime | None, revoked_at: datetime | None, lives: bool
) -> None:
    key = EnvironmentKey(
        id=new_id(),
        environment_id=new_id(),
        kind=KeyKind.SECRET,
        hint="tr_dev_...x7Qa",
        created_at=NOW - timedelta(days=1),
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
    assert key.lives(NOW) is lives
