"""The one way to call a URL that a user has named.

What is judged is the address that is connected to, at the moment when its socket is opened:
whatever a URL's text looked like, and wherever its name led before. Redirects are handed back,
never followed.
"""

import asyncio
import io
import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver

from kongflow_common.http.addresses import AddressPolicy, read_url
from kongflow_common.http.bounded_handler import BoundedConnector, BoundedHandler
from kongflow_common.http.errors import (
    CallTimedOut,
    NotReached,
    UrlRefused,
)
from kongflow_common.http.names import (
    AddressForbidden,
    JudgingResolver,
    SystemNames,
    forbidden_in,
)
from kongflow_common.http.unpacking import BodyReader

__all__ = ["ConnectionLimits", "GuardedHttpClient", "HttpAnswer", "RequestLimits"]

_MAX_HEADER_BYTES = 65_536
_CHUNK_BYTES = 65_536
_LARGE_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections are open at once; who finds none waits, within the call's own time.

    With fewer to one host than in all, one host that stalls keeps no other waiting.
    """

    in_all: int = 500
    per_host: int = 50


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How long the whole call may take, and how large the unpacked answer may be."""

    timeout_seconds: float
    max_answer_bytes: int


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer, whatever its status; names of headers are in lower case, the body unpacked.

    Bytes of headers that are not UTF-8 are replaced.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_seconds: float


class GuardedHttpClient:
    """Calls users' URLs; open while its `async with` block is.

    `resolver` finds addresses for names, and is its owner's to close; the machine's own when left
    out. A connection is made within `connect_seconds`, or not at all.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        resolver: AbstractResolver | None = None,
        connect_seconds: float = 10.0,
        connections: ConnectionLimits | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._connect_seconds = connect_seconds
        self._connections = connections or ConnectionLimits()
        self._names: SystemNames | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        names = self._resolver
        if names is None:
            names = self._names = SystemNames()
        self._session = aiohttp.ClientSession(
            connector=BoundedConnector(
                limit=self._connections.in_all,
                limit_per_host=self._connections.per_host,
                resolver=JudgingResolver(names, self._policy),
                # A name is judged for each call.
                use_dns_cache=False,
                socket_factory=self._open_socket,
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
        if self._names is not None:
            await self._names.close()
            self._names = None

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
                    # The protocol says of calls without a body that they have no type.
                    skip_auto_headers=("content-type",),
                    data=_sent(body),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
                ) as response,
            ):
                received = _readable(response.headers)
                most = limits.max_answer_bytes
                reader = BodyReader(received.get("content-encoding", ""), most)
                _expect_body(response, most)
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    reader.take(chunk)
                return HttpAnswer(
                    status=response.status,
                    headers=received,
                    body=reader.end(),
                    duration_seconds=time.monotonic() - began,
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise NotReached(_reason(error)) from None
        except TimeoutError:
            raise CallTimedOut(f"no answer within {limits.timeout_seconds:.3g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            refused = forbidden_in(error)
            if refused is not None:
                raise UrlRefused(str(refused)) from None
            raise NotReached(_reason(error)) from None

    def _open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (host, *_) = address
        refusal = self._policy.refusal(host)
        if refusal:
            raise AddressForbidden(f"The URL's host leads to no address to call: {refusal}")
        return socket.socket(family, kind, protocol)

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


def _sent(body: bytes | None) -> bytes | io.BytesIO | None:
    """A body as it is handed over: a large one piece by piece, so that others get their turn."""
    return io.BytesIO(body) if body is not None and len(body) > _LARGE_BODY_BYTES else body


def _expect_body(response: aiohttp.ClientResponse, most: int) -> None:
    connection = response.connection
    # None once the answer is there as a whole.
    if connection is not None and isinstance(connection.protocol, BoundedHandler):
        connection.protocol.expect_body(most)


def _readable(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower(): value.encode(errors="surrogateescape").decode(errors="replace")
        for name, value in headers.items()
    }


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate does not hold"
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return "no connection could be made"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "the connection was closed without an answer"
    return "the answer is not one of HTTP"
