"""Calls to users' URLs: what is refused, and what misbehaving servers make of them."""

import asyncio
import contextlib
import gzip
import socket
import zlib

import pytest

from kongflow_common.http.addresses import read_url
from kongflow_common.http.errors import (
    AnswerTooLarge,
    CallTimedOut,
    HttpCallFailed,
    NotReached,
    UrlRefused,
)
from kongflow_common.http.guarded_client import GuardedHttpClient, RequestLimits
from libs.common.tests.integration.user_urls.raw_http_server import (
    LIMITS,
    LOCAL,
    PUBLIC,
    Names,
    Serve,
    Server,
    answer,
    call,
    says,
    stalls,
)


async def test_an_answer_is_handed_over_whatever_its_status(server: Server) -> None:
    url = await server.start(says(answer(b"no", b"X-Word: yes", status=b"503 Busy")))
    found = await call(url)
    assert (found.status, found.body, found.headers["x-word"]) == (503, b"no", "yes")


async def test_no_header_is_sent_that_nobody_asked_for(server: Server) -> None:
    url = await server.start(says(answer(b"ok")))
    async with GuardedHttpClient(LOCAL) as client:
        headers = {"accept": "application/json", "user-agent": "tests"}
        await client.request("POST", url, headers=headers, body=None, limits=LIMITS)
        typed = {**headers, "content-type": "text/plain"}
        await client.request("POST", url, headers=typed, body=b"{}", limits=LIMITS)
    bare, with_type = (
        {line.split(b":")[0].lower() for line in head.strip().splitlines()[1:]}
        for head in server.heads
    )
    own = {b"host", b"accept-encoding", b"connection", b"content-length"}
    assert bare == own | {b"accept", b"user-agent"}
    assert with_type == bare | {b"content-type"}


async def test_a_redirect_is_not_followed(server: Server) -> None:
    url = await server.start(says(answer(b"", b"location: /other", status=b"302 Found")))
    found = await call(url)
    assert (found.status, found.headers["location"]) == (302, "/other")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(gzip.compress(b"x" * 5000), b"gzip"), (zlib.compress(b"x" * 5000), b"deflate")],
)
async def test_a_packed_answer_is_unpacked(server: Server, body: bytes, encoding: bytes) -> None:
    url = await server.start(says(answer(body, b"content-encoding: " + encoding)))
    assert (await call(url)).body == b"x" * 5000


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (says(answer(b"x" * 1_000_001)), AnswerTooLarge),
        (
            says(answer(gzip.compress(b"\0" * 50_000_000), b"content-encoding: gzip")),
            AnswerTooLarge,
        ),
        (says(), NotReached),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), NotReached),
        (says(b"nonsense\r\n\r\n"), NotReached),
        (says(answer(b"", b"x-long: " + b"x" * 1_000_000)), NotReached),
        (says(answer(b"abc", b"content-encoding: br")), NotReached),
        (says(answer(b"abc", b"content-encoding: gzip")), NotReached),
        (says(answer(gzip.compress(b"x" * 99)[:-9], b"content-encoding: gzip")), NotReached),
        (stalls, CallTimedOut),
    ],
)
async def test_what_is_no_answer_says_why(
    server: Server, serve: Serve, error: type[HttpCallFailed]
) -> None:
    url = await server.start(serve)
    limits = RequestLimits(timeout_seconds=0.5, max_answer_bytes=1_000_000)
    with pytest.raises(error):
        await call(url, limits=limits)


async def test_a_slow_drip_ends_with_the_time(server: Server) -> None:
    async def drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        tick = asyncio.Event()
        while True:
            writer.write(b"x")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await tick.wait()

    url = await server.start(drips)
    with pytest.raises(CallTimedOut):
        await call(url, limits=RequestLimits(timeout_seconds=0.4, max_answer_bytes=1_000_000))


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotReached):
        await call(f"http://127.0.0.1:{port}/")


async def test_a_stalled_host_keeps_no_other_waiting(server: Server) -> None:
    stalled = await server.start(stalls)
    well = await server.start(says(answer(b"well")))
    async with GuardedHttpClient(LOCAL) as client:
        held = [
            asyncio.create_task(
                client.request("POST", stalled, headers={}, body=None, limits=LIMITS)
            )
            for _ in range(80)
        ]
        found = await client.request("POST", well, headers={}, body=None, limits=LIMITS)
        assert found.body == b"well"
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[64:ff9b::127.0.0.1]",
    ],
)
async def test_addresses_that_are_nobodys_business_are_refused(host: str) -> None:
    with pytest.raises(UrlRefused):
        await call(f"http://{host}:9/", policy=PUBLIC)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1"])
async def test_some_are_refused_in_development_too(host: str) -> None:
    with pytest.raises(UrlRefused):
        await call(f"http://{host}:9/", policy=LOCAL)


async def test_a_name_is_judged_by_where_it_leads() -> None:
    with pytest.raises(UrlRefused, match="no address to call: it is a private address"):
        await call("http://shop.example:9/", policy=PUBLIC, resolver=Names("127.0.0.1"))
    with pytest.raises(UrlRefused):
        await call("http://shop.example:9/", policy=LOCAL, resolver=Names("169.254.169.254"))


async def test_a_name_that_leads_elsewhere_later_gains_nothing(server: Server) -> None:
    await server.start(says(answer(b"well")))
    port = read_url(server.url).port
    names = Names("127.0.0.1", "169.254.169.254")
    async with GuardedHttpClient(LOCAL, resolver=names) as client:
        url = f"http://shop.example:{port}/"
        first = await client.request("POST", url, headers={}, body=None, limits=LIMITS)
        assert first.body == b"well"
        with pytest.raises(UrlRefused):
            await client.request("POST", url, headers={}, body=None, limits=LIMITS)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://a.example/", "http"),
        ("file:///etc/passwd", "http"),
        ("http://user:secret@a.example/", "credentials"),
        ("http:///path", "no host"),
        ("http://a.example:0/", "port 0"),
        ("http://a.example:99999/", "not a URL"),
        ("http://a.exa mple/", "characters"),
        ("http://a.example\\@b.example/", "characters"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://a.example/" + "x" * 2_048, "2048"),
    ],
)
def test_what_no_url_of_ours_is(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_url(url)


def test_secrets_of_a_url_are_not_repeated() -> None:
    with pytest.raises(ValueError, match="credentials") as caught:
        read_url("http://user:secret@a.example/")
    assert "secret" not in str(caught.value)
