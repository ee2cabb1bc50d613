import json
import time
from collections.abc import Mapping
from uuid import uuid4

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kongflow_common.auth.credentials import CachedCredentialResolver
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.auth.service_tokens import ServiceTokenSigner
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.testing.echo_service import EchoServicer, call_echo, echo_service
from kongflow_common.testing.grpc_server import (
    InProcessServer,
    StaticCredentials,
    bearer,
    in_process_server,
)
from kongflow_common.testing.refusals import refusal

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT


class TestKeys:
    async def test_a_secret_key_acts_in_its_environment(
        self, server: InProcessServer, environment: EnvironmentScope, secret_key: str
    ) -> None:
        answer = await call_echo(server.channel, "Send", bearer(secret_key))
        assert answer == f"hello secret_key dev {environment.environment_id}"

    @pytest.mark.parametrize(
        "metadata",
        [
            (),
            (("authorization", ""),),
            (("authorization", "Basic dXNlcjpwYXNz"),),
            (("authorization", "tr_dev_01234567890123456789"),),
        ],
    )
    async def test_no_credential(
        self, server: InProcessServer, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        with refusal(UNAUTHENTICATED) as refused:
            await call_echo(server.channel, "Send", metadata)
        assert refused.reason == "CREDENTIAL_MISSING"
        assert refused.info.domain == "echo.kongflow"

    @pytest.mark.parametrize("prefix", ["tr_dev_", "pk_dev_", "op_"])
    async def test_an_unknown_credential(self, server: InProcessServer, prefix: str) -> None:
        with refusal(UNAUTHENTICATED) as refused:
            await call_echo(server.channel, "Send", bearer(prefix + "x" * 20))
        assert refused.reason == "CREDENTIAL_INVALID"

    async def test_a_credential_of_absurd_length(self, server: InProcessServer) -> None:
        with refusal(UNAUTHENTICATED):
            await call_echo(server.channel, "Send", bearer("tr_" + "x" * 6_000))
        assert server.credentials.lookups == 0

    async def test_a_public_key_is_let_in_where_the_method_says_so(
        self, server: InProcessServer, environment: EnvironmentScope
    ) -> None:
        key = server.credentials.add_public_key(environment)
        answer = await call_echo(server.channel, "GetEcho", bearer(key))
        assert answer == f"hello public_key dev {environment.environment_id}"
        for method in ("Send", "ListEchoes"):
            with refusal(PERMISSION_DENIED) as refused:
                await call_echo(server.channel, method, bearer(key))
            assert refused.reason == "CALLER_NOT_ALLOWED"
            assert refused.info.metadata["caller"] == "public_key"

    async def test_no_key_and_no_operator_calls_a_task_method(
        self, server: InProcessServer, environment: EnvironmentScope, secret_key: str
    ) -> None:
        public_key = server.credentials.add_public_key(environment)
        operator = server.credentials.add_operator("*")
        for credential in (secret_key, public_key, operator):
            with refusal(PERMISSION_DENIED):
                await call_echo(server.tasks_channel, "Run", bearer(credential))

    async def test_a_key_names_no_environment_not_even_its_own(
        self, server: InProcessServer, environment: EnvironmentScope, secret_key: str
    ) -> None:
        metadata = bearer(secret_key, environment_id=environment.environment_id)
        with refusal(INVALID_ARGUMENT) as refused:
            await call_echo(server.channel, "Send", metadata)
        assert refused.reason == "ENVIRONMENT_NOT_ALLOWED"

    async def test_authentication_comes_before_decoding(self, server: InProcessServer) -> None:
        with refusal(UNAUTHENTICATED):
            await call_echo(server.channel, "Send", raw=b"\xff\xff")


class TestOperators:
    async def test_an_operator_with_the_scope(
        self, server: InProcessServer, environment: EnvironmentScope
    ) -> None:
        for scope in ("echo:write", "*"):
            token = server.credentials.add_operator(scope, name="ada")
            metadata = bearer(token, environment_id=environment.environment_id)
            answer = await call_echo(server.channel, "Send", metadata)
            assert answer == f"hello operator ada {environment.environment_id}"

    async def test_an_operator_without_the_scope(
        self, server: InProcessServer, environment: EnvironmentScope
    ) -> None:
        token = server.credentials.add_operator("echo:read")
        metadata = bearer(token, environment_id=environment.environment_id)
        with refusal(PERMISSION_DENIED) as refused:
            await call_echo(server.channel, "Send", metadata)
        assert refused.reason == "OPERATOR_SCOPE_MISSING"
        assert refused.info.metadata["scope"] == "echo:write"

    async def test_an_operator_must_name_the_environment(self, server: InProcessServer) -> None:
        token = server.credentials.add_operator("*")
        with refusal(INVALID_ARGUMENT) as refused:
            await call_echo(server.channel, "Send", bearer(token))
        assert refused.reason == "ENVIRONMENT_REQUIRED"

    async def test_an_environment_that_does_not_exist(self, server: InProcessServer) -> None:
        token = server.credentials.add_operator("*")
        with refusal(grpc.StatusCode.NOT_FOUND) as refused:
            await call_echo(server.channel, "Send", bearer(token, environment_id=uuid4()))
        assert refused.reason == "ENVIRONMENT_NOT_FOUND"

    async def test_an_environment_that_is_no_id(self, server: InProcessServer) -> None:
        token = server.credentials.add_operator("*")
        metadata = (*bearer(token), ("kongflow-environment", "dev"))
        with refusal(INVALID_ARGUMENT) as refused:
            await call_echo(server.channel, "Send", metadata)
        assert "kongflow-environment" in refused.fields

    async def test_above_environments_one_may_be_named(
        self, server: InProcessServer, environment: EnvironmentScope
    ) -> None:
        token = server.credentials.add_operator("echo:read", name="ada")
        everywhere = await call_echo(server.channel, "ListEchoes", bearer(token))
        inside = await call_echo(
            server.channel,
            "ListEchoes",
            bearer(token, environment_id=environment.environment_id),
        )
        assert everywhere == "hello operator ada nowhere"
        assert inside == f"hello operator ada {environment.environment_id}"


def _token(
    server: InProcessServer,
    claims: Mapping[str, object] | None = None,
    *,
    key: Ed25519PrivateKey | None = None,
) -> str:
    """A token of the worker queue with some claims changed."""
    now = int(time.time())
    good = {"iss": "workerqueue", "aud": "echo", "iat": now, "exp": now + 600}
    signing_key = key or server.service_keys.private_key("workerqueue")
    kept = {name: value for name, value in {**good, **(claims or {})}.items() if value is not None}
    # jwt.encode would refuse to write some of what is tried here.
    return jwt.api_jws.encode(json.dumps(kept).encode(), signing_key, algorithm="EdDSA")


class TestServices:
    async def test_a_service_calls_a_task_method(self, server: InProcessServer) -> None:
        answer = await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))
        assert answer == "hello service workerqueue nowhere"

    async def test_a_service_calls_a_client_method_in_an_environment(
        self, server: InProcessServer, environment: EnvironmentScope
    ) -> None:
        metadata = bearer(server.service_token(), environment_id=environment.environment_id)
        answer = await call_echo(server.channel, "Send", metadata)
        assert answer == f"hello service workerqueue {environment.environment_id}"

    async def test_the_envelope_of_a_task_is_not_looked_up(self, server: InProcessServer) -> None:
        metadata = bearer(server.service_token(), environment_id=uuid4())
        answer = await call_echo(server.tasks_channel, "Run", metadata)
        assert answer == "hello service workerqueue nowhere"
        assert server.credentials.lookups == 0

    async def test_the_helper_makes_a_good_token(self, server: InProcessServer) -> None:
        await call_echo(server.tasks_channel, "Run", bearer(_token(server)))

    @pytest.mark.parametrize(
        ("claims", "said"),
        [
            ({"aud": "runs"}, "another audience"),
            ({"aud": ["echo", "runs"]}, "another audience"),
            ({"aud": None}, "not signed as it says"),
            ({"iss": "billing"}, "not known here"),
            ({"iss": None}, "not known here"),
            ({"iss": ["workerqueue"]}, "not known here"),
            ({"iss": "events"}, "not signed as it says"),
            ({"exp": None}, "not signed as it says"),
            ({"iat": None}, "not signed as it says"),
            ({"exp": "never"}, "when it ends"),
        ],
    )
    async def test_a_token_that_says_something_else(
        self, server: InProcessServer, claims: dict[str, object], said: str
    ) -> None:
        with refusal(UNAUTHENTICATED) as refused:
            await call_echo(server.tasks_channel, "Run", bearer(_token(server, claims)))
        assert refused.reason == "SERVICE_TOKEN_INVALID"
        assert said in refused.message

    @pytest.mark.parametrize(
        ("issued", "lives", "accepted"),
        [
            (-600 - 590, 600, True),
            (-600 - 610, 600, False),
            (+590, 600, True),
            (+610, 600, False),
            (0, 601, False),
            (0, 0, False),
        ],
    )
    async def test_ten_minutes_and_as_much_clock_difference(
        self, server: InProcessServer, issued: int, lives: int, *, accepted: bool
    ) -> None:
        now = int(time.time()) + issued
        token = _token(server, {"iat": now, "exp": now + lives})
        if accepted:
            await call_echo(server.tasks_channel, "Run", bearer(token))
        else:
            with refusal(UNAUTHENTICATED) as refused:
                await call_echo(server.tasks_channel, "Run", bearer(token))
            assert refused.reason == "SERVICE_TOKEN_INVALID"

    async def test_a_token_that_somebody_else_signed(self, server: InProcessServer) -> None:
        forged = _token(server, key=Ed25519PrivateKey.generate())
        with refusal(UNAUTHENTICATED):
            await call_echo(server.tasks_channel, "Run", bearer(forged))

    async def test_tokens_with_other_algorithms(self, server: InProcessServer) -> None:
        now = int(time.time())
        claims = {"iss": "workerqueue", "aud": "echo", "iat": now, "exp": now + 600}
        unsigned = jwt.encode(claims, "", algorithm="none")
        public_key = server.service_keys.public_keys["workerqueue"].public_bytes_raw()
        confused = jwt.encode(claims, public_key, algorithm="HS256")
        for token in (unsigned, confused, "eyJ.eyJ.x", "a.b", "…", "x" * 4_000):
            with refusal(UNAUTHENTICATED) as refused:
                await call_echo(
                    server.tasks_channel,
                    "Run",
                    bearer(token.encode("ascii", "replace").decode()),
                )
            assert refused.reason == "SERVICE_TOKEN_INVALID"

    async def test_a_changed_byte_spoils_a_token_that_was_good(
        self, server: InProcessServer
    ) -> None:
        token = server.service_token()
        await call_echo(server.tasks_channel, "Run", bearer(token))
        spoiled = token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]
        with refusal(UNAUTHENTICATED):
            await call_echo(server.tasks_channel, "Run", bearer(spoiled))


class SteppedClock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class TestRevocation:
    async def test_a_revoked_key_works_for_less_than_five_seconds(
        self, servicer: EchoServicer
    ) -> None:
        clock = SteppedClock()
        credentials = StaticCredentials()
        key = credentials.add_secret_key(credentials.add_environment())
        async with in_process_server(
            catalog=ErrorCatalog("echo.kongflow", {}),
            client_services=[echo_service(servicer)],
            credentials=credentials,
            resolver=CachedCredentialResolver(credentials, now=clock),
        ) as server:
            await call_echo(server.channel, "Send", bearer(key))
            credentials.revoke(key)
            clock.seconds += 1.9
            await call_echo(server.channel, "Send", bearer(key))
            assert credentials.lookups == 1
            clock.seconds += 2.1
            with refusal(UNAUTHENTICATED) as refused:
                await call_echo(server.channel, "Send", bearer(key))
            assert refused.reason == "CREDENTIAL_INVALID"

    async def test_tenancy_away_is_not_the_callers_fault(
        self, server: InProcessServer, secret_key: str
    ) -> None:
        server.credentials.away = True
        with refusal(grpc.StatusCode.UNAVAILABLE) as refused:
            await call_echo(server.channel, "Send", bearer(secret_key))
        assert refused.reason == "DEPENDENCY_UNAVAILABLE"
        assert refused.info.metadata["dependency"] == "tenancy"
        assert refused.retry_seconds is not None
        server.credentials.away = False
        await call_echo(server.channel, "Send", bearer(secret_key))

    async def test_services_need_no_tenancy(self, server: InProcessServer) -> None:
        server.credentials.away = True
        await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))


def test_a_signer_renews_at_half_life() -> None:
    clock = SteppedClock()
    signer = ServiceTokenSigner("events", Ed25519PrivateKey.generate(), now=clock)
    first = signer.token("runs")
    clock.seconds += 299
    assert signer.token("runs") == first
    assert signer.token("tenancy") != first
    clock.seconds += 1
    second = signer.token("runs")
    assert second != first
    clock.seconds -= 10_000
    assert signer.token("runs") != second
