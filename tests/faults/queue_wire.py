"""A line between two processes that can be cut, or fall silent."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Line:
    """Passes on what comes to `port`. Whoever is connected when it is cut gets a reset."""

    server_port: int
    port: int = 0
    cuts: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """Ends every connection at once; what was on its way is lost, and new ones are taken."""
        self.cuts += 1
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def fall_silent(self, seconds: float) -> None:
        """Passes nothing on for a while, without a word, and then is cut."""
        self._open.clear()
        await asyncio.sleep(seconds)
        self.cut()
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes one connection on until either side ends it."""
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_server[1]}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, to_server[1]))
                group.create_task(self._pass_on(to_server[0], writer))
        except* OSError:
            # One side is gone: so is the other.
            pass
        finally:
            for end in (writer, to_server[1]):
                self._writers.discard(end)
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._open.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def line_to(server_port: int) -> AsyncIterator[Line]:
    """A line to a server of this machine."""
    line = Line(server_port)
    line._open.set()
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = int(server.sockets[0].getsockname()[1])
    try:
        yield line
    finally:
        server.close()
        line._open.set()
        line.cut()
