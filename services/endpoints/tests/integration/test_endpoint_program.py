"""What programs answer, and what is made of it, in the words of the original."""

import asyncio
import gzip
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from kongflow_endpoints.adapters.endpoint_program import HttpEndpointProgram
from kongflow_endpoints.application.ports import Called, Indexed, NotCalled
from kongflow_endpoints.domain.endpoint import IndexFailure
from kongflow_endpoints.domain.errors import EndpointPingFailed
from services.endpoints.tests.conftest import (
    KEY,
    Handler,
    Programs,
    Reply,
    described,
    holds,
    speaks,
)


def replies(status: int, body: bytes = b"", **headers: str) -> Handler:
    return lambda _headers, _body: (status, headers, body)


async def failure(program: HttpEndpointProgram, url: str, key: SecretStr = KEY) -> str:
    found = await program.index(url, key)
    assert isinstance(found, IndexFailure), found
    return found.message


async def test_a_program_is_pinged_as_the_protocol_says(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    other = await programs(speaks())
    await program.ping(other.url, "shop", KEY)
    assert await program.validate(other.url, KEY) == "shop"
    ping, validate = other.calls
    assert ping["x-trigger-action"] == "PING"
    assert ping["x-trigger-endpoint-id"] == "shop"
    for call in (ping, validate):
        assert call["x-trigger-api-key"] == KEY.get_secret_value()
        assert call["x-trigger-version"] == "2023-09-29"
        assert call["accept"] == "application/json"
        assert call["user-agent"] == "triggerdotdev-server/2.0.0"
        assert "content-type" not in call, "there is no body"


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (speaks(slug="other"), r"^Endpoint ID mismatch error. Expected other, got shop$"),
        (replies(401, b'{"message":"no"}'), r"^Trigger API key is invalid$"),
        (replies(500, b"<html>"), r"^Could not connect to endpoint \S+\. Status code: 500$"),
        (replies(200, b"<html>"), r"^Could not parse response from endpoint\. Make sure it "),
        (replies(200, b"[]"), r"^Could not parse response from endpoint"),
    ],
)
async def test_a_ping_that_fails_says_why(
    program: HttpEndpointProgram, programs: Programs, handle: Handler, words: str
) -> None:
    other = await programs(handle)
    with pytest.raises(EndpointPingFailed, match=words):
        await program.ping(other.url, "shop", KEY)


async def test_what_a_program_holds_is_read(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    other = await programs(
        speaks(
            described("a"),
            described("b", enabled=False, internal=True),
            sources=[{"version": "2", "channel": "HTTP", "key": "s", "options": {}}],
            dynamicTriggers=[{"id": "d", "jobs": []}],
            dynamicSchedules=[{"id": "e", "jobs": [{"id": "a", "version": "1.0.0"}]}],
        )
    )
    found = await program.index(other.url, KEY)
    assert isinstance(found, Indexed)
    assert [(each.kind, each.key) for each in found.items] == [
        ("JOB", "a"),
        ("JOB", "b"),
        ("SOURCE", "s"),
        ("DYNAMIC_TRIGGER", "d"),
        ("DYNAMIC_SCHEDULE", "e"),
    ]
    assert [(each.enabled, each.internal) for each in found.items[:2]] == [
        (True, False),
        (False, True),
    ]
    assert (found.version, found.sdk_version) == ("2023-09-29", "2.3.18")
    assert found.moved_to is None


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (replies(401, b'{"message":"Forbidden: mismatch"}'), "Forbidden: mismatch"),
        (replies(401), "Trigger API key is invalid"),
        (replies(500, b"<html>"), "Could not connect to endpoint {url}. Status code: 500"),
        (replies(200, b"<html>"), "There's an issue with the format of your Jobs"),
        (replies(200, b'{"jobs":'), "There's an issue with the format of your Jobs"),
        (replies(200, b'{"jobs":[]}'), "There's an issue with the format of your Jobs"),
        (
            replies(302),
            "Endpoint {url} is redirecting but no location header is present",
        ),
        (
            replies(200, holds(), **{"trigger-version": "x" * 101}),
            "Your headers are invalid",
        ),
        (
            replies(200, holds(described(""), described("b", trigger={"type": "no"}))),
            (
                "Your Jobs have issues:\n"
                '- Job "jobs[0]": String should have at least 1 character at "id".\n'
                "- Job \"b\": Input tag 'no' found using 'type' does not match any of the expected "
                "tags: 'static', 'scheduled', 'dynamic', 'invoke' at \"trigger\"."
            ),
        ),
        (
            replies(200, holds(described("a"), described("a"))),
            'Your Jobs have issues:\n- Job "a": is the id of two jobs at "id".',
        ),
        (
            replies(
                200,
                holds(
                    described(
                        "a",
                        trigger={
                            "type": "static",
                            "title": "o",
                            "rule": {"event": "o", "source": "s", "payload": {"n": [{"$no": 1}]}},
                        },
                    )
                ),
            ),
            'Your Jobs have issues:\n- Job "a": n[0]: has no operator',
        ),
        (
            replies(200, b" " * (16 * 1024 * 1024 + 1)),
            "Endpoint {url} answered with more than 16 MiB",
        ),
        (
            replies(200, gzip.compress(b"\0" * 300_000_000, 1), **{"content-encoding": "gzip"}),
            "Endpoint {url} answered with more than 16 MiB",
        ),
        (
            replies(200, holds(*({} for _ in range(100_000)))),
            "Endpoint {url} holds too much: 100000 items; at most 10000 are taken",
        ),
    ],
)
async def test_an_index_that_fails_says_why(
    program: HttpEndpointProgram, programs: Programs, handle: Handler, words: str
) -> None:
    other = await programs(handle)
    message = await failure(program, other.url)
    assert message.startswith(words.format(url=other.url)), message


async def test_programs_that_do_not_answer(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    closes = await programs(speaks())
    closes.raw = b""
    assert await failure(program, closes.url) == f"Could not connect to endpoint {closes.url}"
    stalls = await programs(speaks())
    stalls.stalls = True
    message = await failure(program, stalls.url)
    assert message == f"Endpoint {stalls.url} did not answer within 2 seconds"
    assert (await failure(program, "http://127.0.0.1:1/")).startswith("Could not connect")


async def test_redirects_are_followed_within_the_host(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    answer = speaks(described())
    first_hop = 308

    def handle(headers: dict[str, str], body: bytes) -> Reply:
        step = int(headers[":path"].rpartition("/")[2]) if headers[":path"] != "/api" else 0
        if step < 6:
            status = first_hop if step == 0 else 301
            return status, {"location": f"/step/{step + 1}"}, b""
        reply = answer(headers, body)
        assert isinstance(reply, tuple)
        return reply

    other = await programs(handle)
    found = await program.index(other.url, KEY)
    assert isinstance(found, Indexed)
    assert found.moved_to == other.url.replace("/api", "/step/6"), "each step was for good"
    first_hop = 302
    found = await program.index(other.url, KEY)
    assert isinstance(found, Indexed)
    assert found.moved_to is None, "the first step was not"
    assert len(other.calls) == 14


async def test_redirects_that_lead_nowhere(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    circle = await programs(replies(307, location="/api"))
    message = await failure(program, circle.url)
    assert message == f"Endpoint {circle.url} is redirecting too many times"
    assert len(circle.calls) == 7
    thief = await programs(speaks(described()))
    for location in (thief.url, "http://elsewhere.example/", "http://user:pw@127.0.0.1/"):
        away = await programs(replies(301, location=location))
        assert "is redirecting to" in await failure(program, away.url)
    assert thief.calls == [], "the key is for the host that was registered"


async def test_a_forbidden_address_is_not_called(program: HttpEndpointProgram) -> None:
    message = await failure(program, "http://169.254.169.254/latest")
    assert "169.254.169.254" in message


@pytest.mark.parametrize(
    ("handle", "timed_out"),
    [
        (replies(200, b"{}"), False),
        (replies(408), True),
        (replies(504), True),
        (replies(500, b"", **{"x-vercel-error": "FUNCTION_INVOCATION_TIMEOUT"}), True),
        (replies(502, b"TIME_LIMIT"), True),
        (replies(502), False),
        (replies(503, b"Worker exceeded resource limits", **{"cf-ray": "1"}), True),
        (replies(503, b"Worker exceeded resource limits"), False),
    ],
)
async def test_platforms_that_end_executions_are_told_apart(
    program: HttpEndpointProgram, programs: Programs, handle: Handler, timed_out: bool
) -> None:
    other = await programs(handle)
    called = await program.execute(other.url, KEY, b'{"a":1}', timedelta(seconds=2))
    assert isinstance(called, Called)
    assert called.timed_out is timed_out
    assert other.bodies == [b'{"a":1}']
    assert other.calls[0]["content-type"] == "application/json"
    assert other.calls[0]["x-trigger-action"] == "EXECUTE_JOB"


async def test_executions_without_an_answer(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    async def execute(url: str, seconds: float = 2.0) -> NotCalled:
        called = await program.execute(url, KEY, b"{}", timedelta(seconds=seconds))
        assert isinstance(called, NotCalled)
        return called

    stalls = await programs(speaks())
    stalls.stalls = True
    assert (await execute(stalls.url, 0.2)).timed_out
    closes = await programs(speaks())
    closes.raw = b""
    away = await execute(closes.url)
    assert (away.permanent, away.timed_out) == (False, False)
    assert (await execute("http://169.254.169.254/")).permanent


async def test_executions_of_one_program_do_not_wait_for_each_other(
    program: HttpEndpointProgram, programs: Programs
) -> None:
    """As many as a worker runs at once; one that waited would be taken for one that is too slow."""
    everybody = asyncio.Barrier(200)

    async def once_all_are_there(_headers: dict[str, str], _body: bytes) -> Reply:
        await everybody.wait()
        return 200, {}, b"{}"

    other = await programs(once_all_are_there)
    outcomes = await asyncio.gather(
        *(program.execute(other.url, KEY, b"{}", timedelta(seconds=15)) for _ in range(200))
    )
    assert {isinstance(each, Called) for each in outcomes} == {True}


def test_the_key_is_nowhere_to_be_seen() -> None:
    shown: Any = repr(KEY)
    assert KEY.get_secret_value() not in shown
