import asyncio
import logging
from uuid import UUID

import pytest

from kongflow_common.auth.credentials import CachedCredentialResolver, ResolvedCredential
from kongflow_common.auth.principals import CallerKind, EnvironmentScope, Principal
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually

KEY = b"k" * 32


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Tenancy:
    """Knows one principal and one environment until told otherwise; may be slow or away."""

    def __init__(self) -> None:
        self.principal: Principal | None = Principal(CallerKind.OPERATOR, "ada", key_id="1")
        self.expires_at: float | None = None
        self.environment: EnvironmentScope | None = EnvironmentScope(
            new_id(), new_id(), new_id(), "dev", "DEVELOPMENT", runs_enabled=True
        )
        self.questions = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def _ask(self) -> None:
        self.questions += 1
        self.asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error

    async def look_up_credential(self, credential_hash: bytes) -> ResolvedCredential | None:
        await self._ask()
        principal = self.principal
        return None if principal is None else ResolvedCredential(principal, self.expires_at)

    async def look_up_environment(self, environment_id: UUID) -> EnvironmentScope | None:
        await self._ask()
        return self.environment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tenancy() -> Tenancy:
    return Tenancy()


@pytest.fixture
def resolver(tenancy: Tenancy, clock: Clock) -> CachedCredentialResolver:
    return CachedCredentialResolver(tenancy, now=clock, wall_clock=clock, capacity=3)


async def test_an_answer_is_kept_and_renewed_while_it_serves(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    assert await resolver.principal(KEY) is tenancy.principal
    clock.seconds += 1.99
    assert await resolver.principal(KEY) is tenancy.principal
    assert tenancy.questions == 1
    clock.seconds += 0.02
    tenancy.may_answer.clear()
    assert await resolver.principal(KEY) is tenancy.principal
    await eventually(lambda: tenancy.questions == 2)
    assert await resolver.principal(KEY) is tenancy.principal
    tenancy.may_answer.set()
    old, tenancy.principal = tenancy.principal, None
    await eventually(lambda: not resolver._credentials._asking)
    assert old is not None
    assert await resolver.principal(KEY) is None
    assert tenancy.questions == 2


async def test_an_answer_counts_from_when_its_question_was_put(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    tenancy.may_answer.clear()
    asking = asyncio.create_task(resolver.principal(KEY))
    await tenancy.asked.wait()
    clock.seconds += 3
    tenancy.may_answer.set()
    assert await asking is tenancy.principal
    tenancy.principal = None
    clock.seconds += 1
    assert await resolver.principal(KEY) is None


async def test_unknown_is_believed_for_a_second(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    known, tenancy.principal = tenancy.principal, None
    assert await resolver.principal(KEY) is None
    tenancy.principal = known
    clock.seconds += 0.99
    assert await resolver.principal(KEY) is None
    assert tenancy.questions == 1
    clock.seconds += 0.01
    assert await resolver.principal(KEY) is known


async def test_a_credential_ends_when_it_says_so(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    tenancy.expires_at = clock.seconds + 1
    assert await resolver.principal(KEY) is not None
    clock.seconds += 1
    assert await resolver.principal(KEY) is None
    assert tenancy.questions == 1


async def test_many_calls_put_one_question(
    resolver: CachedCredentialResolver, tenancy: Tenancy
) -> None:
    tenancy.may_answer.clear()
    calls = [asyncio.create_task(resolver.principal(KEY)) for _ in range(50)]
    await tenancy.asked.wait()
    calls[0].cancel()
    await eventually(calls[0].done)
    tenancy.may_answer.set()
    answers = await asyncio.gather(*calls[1:])
    assert set(answers) == {tenancy.principal}
    assert tenancy.questions == 1


async def test_an_outage_is_everyones_and_ends(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    tenancy.error = DependencyUnavailable("tenancy")
    outcomes = await asyncio.gather(
        *(resolver.principal(KEY) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, DependencyUnavailable) for each in outcomes)
    assert tenancy.questions == 1
    tenancy.error = None
    assert await resolver.principal(KEY) is tenancy.principal


async def test_an_outage_shows_when_the_answer_is_too_old_and_not_before(
    resolver: CachedCredentialResolver,
    tenancy: Tenancy,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await resolver.principal(KEY)
    tenancy.error = DependencyUnavailable("tenancy")
    clock.seconds += 2.5
    assert await resolver.principal(KEY) is tenancy.principal
    await eventually(lambda: any(each.levelno == logging.WARNING for each in caplog.records))
    for _ in range(5):
        assert await resolver.principal(KEY) is tenancy.principal
    assert tenancy.questions == 2
    clock.seconds += 1.5
    with pytest.raises(DependencyUnavailable):
        await resolver.principal(KEY)


async def test_nobody_waits_for_an_answer_that_fails(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    tenancy.may_answer.clear()
    tenancy.error = DependencyUnavailable("tenancy")
    call = asyncio.create_task(resolver.principal(KEY))
    await tenancy.asked.wait()
    call.cancel()
    tenancy.may_answer.set()
    await eventually(lambda: not resolver._credentials._asking)


async def test_it_holds_so_many_and_forgets_the_least_used(
    resolver: CachedCredentialResolver, tenancy: Tenancy
) -> None:
    for name in (b"a", b"b", b"c", b"a", b"d", b"a"):
        await resolver.principal(name)
    assert tenancy.questions == 4
    await resolver.principal(b"b")
    assert tenancy.questions == 5


async def test_made_up_keys_put_so_many_questions_at_once(tenancy: Tenancy, clock: Clock) -> None:
    resolver = CachedCredentialResolver(tenancy, now=clock)
    tenancy.may_answer.clear()
    calls = [
        asyncio.create_task(resolver.principal(number.to_bytes(4, "big"))) for number in range(500)
    ]
    await eventually(lambda: tenancy.questions >= 64)
    for _ in range(100):
        await asyncio.sleep(0)
    assert tenancy.questions == 64
    tenancy.may_answer.set()
    await asyncio.gather(*calls)
    assert tenancy.questions == 500


async def test_environments_are_kept_alike(
    resolver: CachedCredentialResolver, tenancy: Tenancy, clock: Clock
) -> None:
    environment_id = new_id()
    assert await resolver.environment(environment_id) is tenancy.environment
    assert await resolver.environment(environment_id) is tenancy.environment
    assert tenancy.questions == 1
    tenancy.environment = None
    clock.seconds += 4
    assert await resolver.environment(environment_id) is None


async def test_closing_gives_up_what_is_asked(
    resolver: CachedCredentialResolver, tenancy: Tenancy
) -> None:
    tenancy.may_answer.clear()
    call = asyncio.create_task(resolver.principal(KEY))
    await tenancy.asked.wait()
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await call
