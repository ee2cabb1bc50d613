"""A server that answers with whatever bytes a test writes, and calls to it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp.abc import AbstractResolver, ResolveResult

from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.http.guarded_client import GuardedHttpClient, HttpAnswer, RequestLimits

LOCAL = AddressPolicy(allow_private=True)
PUBLIC = AddressPolicy()
LIMITS = RequestLimits(timeout_seconds=5.0, max_answer_bytes=1_000_000)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server on a free port that answers connections with whatever `serve` writes."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.heads: list[bytes] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, serve: Serve, tls: ssl.SSLContext | None = None) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                # Whoever closes on what is unread resets the connection.
                await reader.readexactly(2 if b"content-length: 2" in head.lower() else 0)
                await serve(reader, writer)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        self._servers.append(server)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
        return self.url

    async def stop(self) -> None:
        # They end with their clients.
        await asyncio.gather(*self._tasks)
        for server in self._servers:
            server.close()
            await server.wait_closed()


def says(*parts: bytes) -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        await writer.drain()

    return serve


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def stalls(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def goes_on(first: bytes, again: bytes) -> Serve:
    """Says the second thing for as long as anybody listens."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()
            # A drain that need not wait gives nobody else a turn.
            await asyncio.sleep(0)

    return serve


async def call(
    url: str,
    *,
    policy: AddressPolicy = LOCAL,
    limits: RequestLimits = LIMITS,
    resolver: AbstractResolver | None = None,
    body: bytes = b"{}",
) -> HttpAnswer:
    async with GuardedHttpClient(policy, resolver=resolver) as client:
        return await client.request(
            "POST", url, headers={"accept": "application/json"}, body=body, limits=limits
        )


class Names(AbstractResolver):
    """Leads a name to one address after another."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        return
