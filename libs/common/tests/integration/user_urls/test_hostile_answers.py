"""Answers that are made to hurt: without an end, packed, damaged; and what they cost the others."""

import asyncio
import gzip
import logging
import random
import time
import traceback
import zlib
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from kongflow_common.http.errors import AnswerTooLarge, CallTimedOut, HttpCallFailed, NotReached
from kongflow_common.http.guarded_client import GuardedHttpClient, RequestLimits
from libs.common.tests.integration.user_urls.raw_http_server import (
    LIMITS,
    LOCAL,
    Serve,
    Server,
    answer,
    call,
    goes_on,
    says,
    stalls,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
GZIP = HEAD + b"content-encoding: gzip\r\n\r\n"
HELLO = gzip.compress(b"hello")
EMPTY_BLOCKS = b"\x00\x00\x00\xff\xff" * 10_000


ENDLESS: dict[str, tuple[Serve, type[HttpCallFailed]]] = {
    "status line": (goes_on(b"HTTP/1.1 200 ", b"x" * 60_000), NotReached),
    "header": (goes_on(HEAD + b"a: ", b"x" * 60_000), NotReached),
    "headers": (goes_on(HEAD, b"a: b\r\n" * 1_000), NotReached),
    "interim answers": (goes_on(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000), NotReached),
    "chunk that is frame only": (goes_on(CHUNKED + b"1;", b"x" * 60_000), NotReached),
    "chunks of one byte": (goes_on(CHUNKED, b"1\r\nx\r\n" * 10_000), NotReached),
    "trailers": (goes_on(CHUNKED + b"0\r\n", b"a: b\r\n" * 1_000), NotReached),
    "body": (goes_on(HEAD + b"\r\n", b"x" * 60_000), AnswerTooLarge),
    "chunked body": (goes_on(CHUNKED, b"ea60\r\n" + b"x" * 60_000 + b"\r\n"), AnswerTooLarge),
    "packed nothing": (goes_on(GZIP + HELLO[:10], EMPTY_BLOCKS), AnswerTooLarge),
    "rest behind a packed body": (goes_on(GZIP + HELLO, b"x" * 60_000), NotReached),
}


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_is_cut_off_long_before_the_time(
    what: str, run: Callable[[Coroutine[None, None, None]], None]
) -> None:
    """On both event loops: a service runs on one whose transports are of its own kind."""
    serve, error = ENDLESS[what]

    async def ask() -> None:
        server = Server()
        url = await server.start(serve)
        with pytest.raises(error):
            await call(url, limits=RequestLimits(timeout_seconds=30, max_answer_bytes=1_000_000))
        await server.stop()

    began = time.monotonic()
    run(ask())
    assert time.monotonic() - began < 10


DAMAGED: dict[str, bytes] = {
    "negative length": HEAD + b"content-length: -5\r\n\r\nabc",
    "two lengths": HEAD + b"content-length: 3\r\ncontent-length: 5\r\n\r\nabc",
    "length and chunks": HEAD + b"content-length: 3\r\n" + CHUNKED[len(HEAD) :] + b"3\r\nabc\r\n",
    "more than its length": HEAD + b"content-length: 3\r\n\r\nabcdefgh",
    "a chunk of no number": CHUNKED + b"zz\r\nabc",
    "a chunk beyond all numbers": CHUNKED + b"f" * 18 + b"\r\nabc",
    "chunks without their end": CHUNKED + b"3\r\nabc\r\n",
    "another protocol": b"\0\0\x12\4\0\0\0\0\0" * 3,
    "no head": b"<html>hello</html>",
    "a status of no sense": b"HTTP/1.1 0 OK\r\n\r\n",
    "a NUL": HEAD + b"a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "packed, five bytes": GZIP + HELLO[:5],
    "packed, broken": GZIP + HELLO[:12] + b"\xff" * 20,
    "packed twice": HEAD + b"content-encoding: gzip, gzip\r\n\r\n" + gzip.compress(HELLO),
    "deflate and more": HEAD + b"content-encoding: deflate\r\n\r\n" + zlib.compress(b"a") * 2,
}


@pytest.mark.parametrize("what", DAMAGED)
async def test_a_damaged_answer_is_none(server: Server, what: str) -> None:
    url = await server.start(says(DAMAGED[what]))
    with pytest.raises(NotReached):
        await call(url)


async def test_a_bomb_inside_a_bomb_stays_packed(server: Server) -> None:
    inner = gzip.compress(b"\0" * 50_000_000)
    url = await server.start(says(GZIP + gzip.compress(inner)))
    assert (await call(url)).body == inner


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (GZIP, HELLO + gzip.compress(b"hello")),
        (HEAD + b"content-encoding: X-Gzip\r\n\r\n", gzip.compress(b"hellohello")),
        (HEAD + b"content-encoding: deflate\r\n\r\n", zlib.compress(b"hellohello")),
        # As Node and old servers send it: without the frame.
        (HEAD + b"content-encoding: deflate\r\n\r\n", zlib.compress(b"hellohello")[2:-4]),
        (HEAD + b"content-encoding: identity\r\n\r\n", b"hellohello"),
    ],
)
async def test_ways_to_pack_the_same(server: Server, head: bytes, body: bytes) -> None:
    url = await server.start(says(head, body))
    assert (await call(url)).body == b"hellohello"


async def test_an_answer_of_exactly_what_is_taken_is_taken(server: Server) -> None:
    limits = RequestLimits(timeout_seconds=5, max_answer_bytes=5)
    url = await server.start(says(answer(b"hello")))
    assert (await call(url, limits=limits)).body == b"hello"
    url = await server.start(says(answer(b"hello!")))
    with pytest.raises(AnswerTooLarge):
        await call(url, limits=limits)


async def test_some_interim_answers_are_passed_over(server: Server) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 5
    url = await server.start(says(interim + answer(b"well")))
    assert (await call(url)).body == b"well"


async def test_bytes_of_headers_that_are_no_text_are_replaced(server: Server) -> None:
    url = await server.start(says(answer(b"", b"location: /\xff\xc3\xa9", status=b"302 Found")))
    location = (await call(url)).headers["location"]
    assert location.endswith("\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert location.encode()


async def test_an_answer_before_the_request_was_read_is_an_answer(server: Server) -> None:
    """A large request, of which nobody takes more than the head."""

    async def answers_and_stays(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"no", status=b"413 Too Large"))
        await writer.drain()
        while await reader.read(65_536):
            pass

    url = await server.start(answers_and_stays)
    found = await call(url, body=b"x" * 8_000_000)
    assert (found.status, found.body) == (413, b"no")


async def test_a_large_request_arrives_whole(server: Server) -> None:
    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = await reader.readexactly(3_000_000)
        writer.write(answer(str(len(found)).encode()))
        await writer.drain()

    url = await server.start(counts)
    assert (await call(url, body=b"x" * 3_000_000)).body == b"3000000"


@pytest.mark.parametrize(
    "flood",
    [
        goes_on(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
        goes_on(CHUNKED + b"1;", b"x" * 60_000),
        goes_on(GZIP + HELLO[:10], EMPTY_BLOCKS),
    ],
)
async def test_floods_do_not_slow_the_others(server: Server, flood: Serve) -> None:
    flooding = await server.start(flood)
    well = await server.start(says(answer(b"well")))
    async with GuardedHttpClient(LOCAL) as client:

        async def ask(url: str) -> bytes:
            found = await client.request("POST", url, headers={}, body=None, limits=LIMITS)
            return found.body

        floods = [asyncio.create_task(ask(flooding)) for _ in range(20)]
        began = time.monotonic()
        for _ in range(20):
            assert await ask(well) == b"well"
        assert time.monotonic() - began < 3
        ended = await asyncio.gather(*floods, return_exceptions=True)
    assert all(isinstance(each, NotReached | AnswerTooLarge) for each in ended)


async def test_whatever_comes_is_an_answer_or_says_why_there_is_none(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers that are damaged at random, always the same ones."""
    chance = random.Random(7)
    whole = (
        HEAD
        + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"%x\r\n" % len(HELLO)
        + HELLO
        + b"\r\n0\r\n\r\n"
    )
    damaged = whole

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(damaged)
        await writer.drain()

    url = await server.start(serve)
    answered = failed = 0
    limits = RequestLimits(timeout_seconds=1, max_answer_bytes=1_000)
    async with GuardedHttpClient(LOCAL) as client:
        for _ in range(300):
            damaged = _damage(whole, chance)
            try:
                await client.request("POST", url, headers={}, body=None, limits=limits)
                answered += 1
            except HttpCallFailed:
                failed += 1
    assert answered > 0
    assert failed > 100
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def _damage(whole: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(damaged))
        kind = chance.random()
        if kind < 0.4:
            damaged[at] = chance.randrange(256)
        elif kind < 0.7:
            del damaged[at : at + chance.randint(1, 5)]
        else:
            damaged[at:at] = chance.choice([b"\r\n", b"\0", b"\xff", b":", b"0", b" ", b"\n"])
    return bytes(damaged)


@pytest.mark.parametrize(
    "serve", [says(), says(b"nonsense\r\n\r\n"), says(answer(b"x" * 99)), stalls]
)
async def test_what_a_failed_call_says_does_not_hold_its_headers(
    server: Server, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    url = await server.start(serve)
    limits = RequestLimits(timeout_seconds=0.5, max_answer_bytes=10)
    headers = {"x-trigger-api-key": "tr_dev_secret"}
    with caplog.at_level(logging.DEBUG):
        async with GuardedHttpClient(LOCAL) as client:
            with pytest.raises((NotReached, AnswerTooLarge, CallTimedOut)) as caught:
                await client.request("POST", url, headers=headers, body=None, limits=limits)
            for text in (repr(caught.value), repr(client), str(vars(client))):
                assert "tr_dev_secret" not in text
    assert "tr_dev_secret" not in "".join(traceback.format_exception(caught.value))
    assert "tr_dev_secret" not in caplog.text
