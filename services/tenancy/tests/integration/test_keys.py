"""Keys: made once, sealed, rotated, revoked."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_common.testing.clocks import FixedClock
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.application.ports import SealedTextUnreadable
from kongflow_tenancy.domain.credentials import KeyKind, KeyPrincipal, credential_hash
from kongflow_tenancy.domain.errors import (
    CredentialNotFound,
    EnvironmentNotFound,
    KeyNotFound,
    KeyRevoked,
)
from kongflow_tenancy.domain.organization import EnvironmentType
from services.tenancy.tests.tenancy_context import StoredTenancy, a_write

HOUR = timedelta(hours=1)
NO_OVERLAP = timedelta(0)


async def opens(tenancy: StoredTenancy, text: str) -> UUID | None:
    """The environment that a key opens now, or None."""
    try:
        found = await tenancy.look_up_credential(credential_hash(text))
    except CredentialNotFound:
        return None
    assert isinstance(found, KeyPrincipal)
    return found.environment.environment_id


async def test_a_key_opens_its_environment(tenancy: StoredTenancy) -> None:
    environment = await tenancy.add_environment("prod", EnvironmentType.PRODUCTION)
    key, text = await tenancy.use.create_key(environment.id, KeyKind.PUBLIC, None, a_write())
    assert text.startswith("pk_prod_")
    assert key.hint == f"pk_prod_...{text[-4:]}"
    found = await tenancy.look_up_credential(credential_hash(text))
    assert isinstance(found, KeyPrincipal)
    assert (found.key_id, found.kind, found.expires_at) == (key.id, KeyKind.PUBLIC, None)
    assert found.environment.environment_id == environment.id
    assert found.environment.project_id == environment.project_id
    assert found.environment.organization_id == environment.organization_id
    assert found.environment.type is EnvironmentType.PRODUCTION


async def test_the_text_is_stored_nowhere(tenancy: StoredTenancy) -> None:
    environment = await tenancy.add_environment()
    write = a_write("CreateEnvironmentKey", request_id="r")
    _, text = await tenancy.use.create_key(environment.id, KeyKind.SECRET, None, write)
    [(row, ciphertext, key_id)] = await tenancy.database.pool.execute(
        "SELECT k::text, k.ciphertext, k.key_id FROM tenancy.environment_keys k"
    )
    others = await tenancy.database.pool.execute(
        "SELECT a::text FROM tenancy.audit_entries a"
        " UNION ALL SELECT w::text FROM tenancy.write_requests w"
    )
    random_part = text.removeprefix("tr_dev_")
    assert random_part not in row
    assert random_part.encode() not in bytes(ciphertext)
    assert key_id == "tests"
    assert all(random_part not in other for (other,) in others)


async def test_a_repeat_answers_the_same_text(tenancy: StoredTenancy) -> None:
    environment = await tenancy.add_environment()
    write = a_write(request_id="r")
    made = await asyncio.gather(
        *(tenancy.use.create_key(environment.id, KeyKind.SECRET, None, write) for _ in range(8))
    )
    assert len({(key.id, text) for key, text in made}) == 1
    assert await tenancy.count("environment_keys") == 1


async def test_without_a_request_id_each_call_makes_a_key(tenancy: StoredTenancy) -> None:
    environment = await tenancy.add_environment()
    first = await tenancy.add_key(environment.id)
    second = await tenancy.add_key(environment.id)
    assert first != second


async def test_a_repeat_with_the_wrong_encryption_key_fails(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    write = a_write(request_id="r")
    await tenancy.use.create_key(environment.id, KeyKind.SECRET, None, write)
    for key_id in ("tests", "other"):
        vault = FernetKeyVault({key_id: Fernet.generate_key().decode()})
        other = StoredTenancy(tenancy.database, vault, fixed_clock)
        with pytest.raises(SealedTextUnreadable):
            await other.use.create_key(environment.id, KeyKind.SECRET, None, write)


async def test_a_key_of_nothing_is_refused(tenancy: StoredTenancy) -> None:
    stranger = new_id()
    with pytest.raises(EnvironmentNotFound) as refused:
        await tenancy.use.create_key(stranger, KeyKind.SECRET, None, a_write(request_id="r"))
    assert refused.value.metadata == {"id": str(stranger)}
    assert await tenancy.count("write_requests") == 0


async def test_a_key_expires(tenancy: StoredTenancy, fixed_clock: FixedClock) -> None:
    environment = await tenancy.add_environment()
    _, text = await tenancy.add_key(environment.id, ends=fixed_clock.now() + HOUR)
    fixed_clock.advance(HOUR - timedelta(microseconds=1))
    assert await opens(tenancy, text) == environment.id
    fixed_clock.advance(timedelta(microseconds=1))
    assert await opens(tenancy, text) is None


async def test_a_key_is_not_born_expired_but_its_repeat_may_be(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    ends = fixed_clock.now() + HOUR
    write = a_write(request_id="r")
    first = await tenancy.use.create_key(environment.id, KeyKind.SECRET, ends, write)
    fixed_clock.advance(HOUR)
    assert await tenancy.use.create_key(environment.id, KeyKind.SECRET, ends, write) == first
    with pytest.raises(InvalidField) as refused:
        await tenancy.use.create_key(environment.id, KeyKind.SECRET, ends, a_write())
    assert (refused.value.field, refused.value.description) == (
        "expire_time",
        "must be in the future",
    )


async def test_a_revoked_key_opens_nothing(tenancy: StoredTenancy, fixed_clock: FixedClock) -> None:
    environment = await tenancy.add_environment()
    key_id, text = await tenancy.add_key(environment.id)
    write = a_write("RevokeEnvironmentKey")
    revoked = await tenancy.use.revoke_key(key_id, write)
    assert revoked.revoked_at == fixed_clock.now()
    assert await opens(tenancy, text) is None
    fixed_clock.advance(HOUR)
    assert await tenancy.use.revoke_key(key_id, write) == revoked
    [entry] = await tenancy.audit("RevokeEnvironmentKey")
    assert entry.subject == f"keys/{key_id}"
    assert entry.details == {
        "environment_id": str(environment.id),
        "kind": "secret",
        "hint": revoked.hint,
    }


async def test_revocations_at_once_are_one(tenancy: StoredTenancy) -> None:
    key_id, _ = await tenancy.add_key((await tenancy.add_environment()).id)
    revoked = await asyncio.gather(
        *(tenancy.use.revoke_key(key_id, a_write("RevokeEnvironmentKey")) for _ in range(8))
    )
    assert len({key.revoked_at for key in revoked}) == 1
    assert len(await tenancy.audit("RevokeEnvironmentKey")) == 1


async def test_rotating_without_overlap_ends_the_old_key_at_once(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    key_id, old_text = await tenancy.add_key(environment.id, KeyKind.PUBLIC)
    write = a_write("RotateEnvironmentKey")
    new, text, old = await tenancy.use.rotate_key(key_id, NO_OVERLAP, write)
    assert (new.kind, new.environment_id) == (KeyKind.PUBLIC, environment.id)
    assert (new.expires_at, new.revoked_at) == (None, None)
    assert (old.id, old.revoked_at) == (key_id, fixed_clock.now())
    assert await opens(tenancy, old_text) is None
    assert await opens(tenancy, text) == environment.id
    [entry] = await tenancy.audit("RotateEnvironmentKey")
    assert entry.subject == f"keys/{key_id}"
    assert entry.details == {
        "environment_id": str(environment.id),
        "kind": "public",
        "hint": old.hint,
        "ends_at": fixed_clock.now().isoformat(),
        "replaced_by": str(new.id),
        "new_hint": new.hint,
    }


async def test_rotating_with_overlap_lets_both_keys_work_for_a_while(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    key_id, old_text = await tenancy.add_key(environment.id)
    _, text, old = await tenancy.use.rotate_key(key_id, HOUR, a_write())
    assert (old.expires_at, old.revoked_at) == (fixed_clock.now() + HOUR, None)
    assert await opens(tenancy, old_text) == await opens(tenancy, text) == environment.id
    fixed_clock.advance(HOUR)
    assert await opens(tenancy, old_text) is None
    assert await opens(tenancy, text) == environment.id


async def test_an_overlap_gives_no_key_more_time(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    ends = fixed_clock.now() + timedelta(minutes=5)
    key_id, _ = await tenancy.add_key(environment.id, ends=ends)
    _, _, old = await tenancy.use.rotate_key(key_id, HOUR, a_write())
    assert old.expires_at == ends


async def test_a_repeated_rotation_answers_the_same_keys(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    for overlap in (HOUR, NO_OVERLAP):
        key_id, _ = await tenancy.add_key(environment.id)
        write = a_write(request_id="r")
        answers = await asyncio.gather(
            *(tenancy.use.rotate_key(key_id, overlap, write) for _ in range(6))
        )
        fixed_clock.advance(timedelta(minutes=1))
        answers.append(await tenancy.use.rotate_key(key_id, overlap, write))
        assert len(set(answers)) == 1
    assert await tenancy.count("environment_keys") == 4


async def test_a_revoked_key_is_not_rotated(tenancy: StoredTenancy) -> None:
    key_id, _ = await tenancy.add_key((await tenancy.add_environment()).id)
    await tenancy.use.revoke_key(key_id, a_write())
    with pytest.raises(KeyRevoked) as refused:
        await tenancy.use.rotate_key(key_id, HOUR, a_write(request_id="r"))
    assert refused.value.subject == f"keys/{key_id}"
    assert await tenancy.count("environment_keys") == 1
    assert await tenancy.count("write_requests") == 0


async def test_two_rotations_at_once_replace_a_key_once(tenancy: StoredTenancy) -> None:
    key_id, _ = await tenancy.add_key((await tenancy.add_environment()).id)
    answers = await asyncio.gather(
        *(tenancy.use.rotate_key(key_id, NO_OVERLAP, a_write()) for _ in range(4)),
        return_exceptions=True,
    )
    assert [type(each) for each in answers].count(KeyRevoked) == 3
    assert await tenancy.count("environment_keys") == 2


async def test_unknown_keys_are_not_found(tenancy: StoredTenancy) -> None:
    stranger = new_id()
    with pytest.raises(KeyNotFound) as rotated:
        await tenancy.use.rotate_key(stranger, HOUR, a_write(request_id="r"))
    with pytest.raises(KeyNotFound) as revoked:
        await tenancy.use.revoke_key(stranger, a_write())
    assert rotated.value.metadata == revoked.value.metadata == {"id": str(stranger)}
    assert await tenancy.count("write_requests") == 0


async def test_the_audit_of_a_new_key_says_what_it_opens_and_until_when(
    tenancy: StoredTenancy, fixed_clock: FixedClock
) -> None:
    environment = await tenancy.add_environment()
    ends = fixed_clock.now() + HOUR
    write = a_write("CreateEnvironmentKey")
    key, _ = await tenancy.use.create_key(environment.id, KeyKind.SECRET, ends, write)
    [entry] = await tenancy.audit("CreateEnvironmentKey")
    assert entry.subject == f"keys/{key.id}"
    assert entry.details == {
        "environment_id": str(environment.id),
        "kind": "secret",
        "hint": key.hint,
        "expires_at": ends.isoformat(),
    }
