"""The one way to call a URL that a user has named.

What is checked is the address that is connected to, when it is connected to: a name is resolved
here, each of its addresses is judged, and the connection goes to one that passed. So a name that
leads elsewhere the second time gains nothing. Redirects are handed back, never followed.
"""

import asyncio
import ipaddress
import socket
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from kongflow_common.http.addresses import AddressPolicy, read_url
from kongflow_common.http.errors import (
    AnswerTooLarge,
    CallTimedOut,
    HttpCallFailed,
    NotReached,
    UrlRefused,
)

__all__ = ["GuardedHttpClient", "HttpAnswer", "RequestLimits"]

_CONNECTIONS = 500
_CONNECTIONS_PER_HOST = 50
"""One host that stalls keeps no other waiting."""
_MAX_HEADER_BYTES = 65_536
_CHUNK_BYTES = 65_536
_CONNECT_SECONDS = 10.0
_ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": 0}


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How long the whole call may take, and how large the unpacked answer may be."""

    timeout_seconds: float
    max_answer_bytes: int


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer, whatever its status; names of headers are in lower case, the body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_seconds: float


class GuardedHttpClient:
    """Calls users' URLs; open while its `async with` block is.

    `resolver` finds addresses for names; the machine's own when left out.
    """

    def __init__(self, policy: AddressPolicy, *, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver = _JudgingResolver(self._resolver or aiohttp.ThreadedResolver(), self._policy)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                limit_per_host=_CONNECTIONS_PER_HOST,
                resolver=resolver,
                # A name is judged for each call.
                use_dns_cache=False,
                # A connection that the program closes while it is idle would look like a program
                # that is away, and that ends runs.
                force_close=True,
            ),
            # Unpacked here, under a limit.
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            read_bufsize=_CHUNK_BYTES,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: RequestLimits,
    ) -> HttpAnswer:
        """Call a URL once. Raises HttpCallFailed: see kongflow_common.http.errors."""
        self._judge(url)
        session = self._session
        if session is None:
            raise RuntimeError("the client is not open")
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(limits.timeout_seconds),
                session.request(
                    method,
                    url,
                    headers={**headers, "accept-encoding": "gzip, deflate"},
                    data=body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                ) as response,
            ):
                content = await _read(response, limits.max_answer_bytes)
                return HttpAnswer(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=content,
                    duration_seconds=time.monotonic() - began,
                )
        except HttpCallFailed:
            raise
        except _Forbidden as error:
            raise UrlRefused(str(error)) from None
        except TimeoutError:
            raise CallTimedOut(f"no answer within {limits.timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
            refused = _forbidden_cause(error)
            if refused is not None:
                raise UrlRefused(str(refused)) from None
            raise NotReached(_reason(error)) from None

    def _judge(self, url: str) -> None:
        """Refuse what the URL's text alone gives away: names are judged when they are resolved."""
        try:
            found = read_url(url)
        except ValueError as error:
            raise UrlRefused(f"The URL {error}") from None
        try:
            # As the machine's own functions read them: 127.1, 0x7f000001, 2130706433.
            address = str(ipaddress.ip_address(found.host))
        except ValueError:
            try:
                address = socket.inet_ntoa(socket.inet_aton(found.host))
            except OSError:
                return
        refusal = self._policy.refusal(address)
        if refusal:
            raise UrlRefused(f"The URL leads to {address}: {refusal}")


class _Forbidden(OSError):
    """A name leads to no address that may be connected to."""


class _JudgingResolver(AbstractResolver):
    """Lets only those addresses of a name through that may be connected to."""

    def __init__(self, resolver: AbstractResolver, policy: AddressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses that passed; raises OSError when none did, or there are none."""
        found = await self._resolver.resolve(host, port, family)
        passed = [each for each in found if not self._policy.refusal(each["host"])]
        if found and not passed:
            address = found[0]["host"]
            raise _Forbidden(f"The URL's host leads to {address}: {self._policy.refusal(address)}")
        return passed

    async def close(self) -> None:
        await self._resolver.close()


def _forbidden_cause(error: BaseException) -> _Forbidden | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _Forbidden):
            return cause
        os_error = getattr(cause, "os_error", None)
        if isinstance(os_error, _Forbidden):
            return os_error
        cause = cause.__cause__ or cause.__context__
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection could be made"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "the connection was closed without an answer"
    return "the answer is not one of HTTP"


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body, unpacked as it comes, and not a byte more than is taken."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _unpacker(encoding)
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        pending = chunk
        while pending:
            if unpack is None:
                content += pending
                pending = b""
            else:
                content += unpack.decompress(pending, max_bytes + 1 - len(content))
                pending = unpack.unconsumed_tail
            if len(content) > max_bytes:
                response.close()
                raise AnswerTooLarge(f"the answer is larger than {max_bytes} bytes")
    if unpack is not None and not unpack.eof and content:
        raise NotReached("the packed answer ends in the middle")
    return bytes(content)


def _unpacker(encoding: str) -> "zlib._Decompress | None":
    if encoding in ("", "identity"):
        return None
    bits = _ENCODINGS.get(encoding)
    if bits is None:
        raise NotReached(f"the answer is packed in a way that was not asked for: {encoding:.40}")
    return zlib.decompressobj(bits or zlib.MAX_WBITS)
