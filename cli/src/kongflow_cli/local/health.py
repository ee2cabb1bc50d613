"""Asks a gRPC server's health service until it serves."""

import asyncio
import time
from collections.abc import Callable

from kongflow_embedded.errors import NotReadyError

_CHECK = "/grpc.health.v1.Health/Check"
# grpc.health.v1.HealthCheckResponse{status: SERVING}; the request for the whole server is empty.
_SERVING = b"\x08\x01"
# A proxy for the outside world has no business between two local processes.
_DIRECT = (("grpc.enable_http_proxy", 0),)
_CALL_SECONDS = 2.0
_PAUSE_SECONDS = 0.03


async def wait_serving(address: str, seconds: float, is_alive: Callable[[], bool]) -> None:
    """Returns when the server at `address` (host:port) answers SERVING for the whole server.

    Raises NotReadyError when the process ends first or `seconds` have passed.
    """
    # Slow to import, and of use only to a system that starts.
    import grpc.aio  # noqa: PLC0415

    deadline = time.monotonic() + seconds
    await _wait_listening(address, deadline, is_alive)
    async with grpc.aio.insecure_channel(address, _DIRECT) as channel:
        check = channel.unary_unary(_CHECK, request_serializer=bytes, response_deserializer=bytes)
        while True:
            try:
                if await check(b"", timeout=_CALL_SECONDS, wait_for_ready=True) == _SERVING:
                    return
            except grpc.aio.AioRpcError:
                # Not yet; the deadline decides how long that is tolerated.
                pass
            await _pause(address, deadline, is_alive)


async def _wait_listening(address: str, deadline: float, is_alive: Callable[[], bool]) -> None:
    # A gRPC channel waits longer and longer between attempts; a plain connection is asked anew
    # as often as we like.
    host, _, port = address.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await _pause(address, deadline, is_alive)
        else:
            writer.close()
            return


async def _pause(address: str, deadline: float, is_alive: Callable[[], bool]) -> None:
    if not is_alive():
        raise NotReadyError(f"The process for {address} ended while it was starting.")
    if time.monotonic() > deadline:
        raise NotReadyError(f"{address} did not serve in time.")
    await asyncio.sleep(_PAUSE_SECONDS)
