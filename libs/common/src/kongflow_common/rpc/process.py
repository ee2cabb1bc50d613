"""The life of a server's process: the event loop, signals, the exit code."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine

import uvloop

__all__ = ["run"]

_logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1


def run(serve: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> int:
    """Run `serve` until it returns; SIGTERM and SIGINT set the event it is given.

    Gives the exit code: 0 after a clean end, 1 when `serve` failed, which is logged.
    """

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(stop)

    try:
        uvloop.run(main())
    except Exception:  # the log is where a service says what ended it
        _logger.exception("the service failed")
        return EXIT_FAILED
    return EXIT_OK
