"""The life of a server's process: the event loop, signals, the exit code."""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine

import uvloop

from kongflow_common.settings import Misconfigured

__all__ = ["run"]

_logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


def tune_garbage_collection() -> None:
    """Keep the collector from looking through all that the imports have made, again and again.

    What lives for ever is set aside, and a burst of calls does not start a collection each 700
    objects: nearly all of them end by their reference count.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def run(serve: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> int:
    """Run `serve` until it returns; SIGTERM and SIGINT set the event it is given.

    Gives the exit code: 0 after a clean end, 1 when `serve` failed, 2 when it was told to use what
    cannot be used; the log says why.
    """

    async def main() -> None:
        tune_garbage_collection()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(stop)

    try:
        uvloop.run(main())
    except Misconfigured as error:
        _logger.error("%s", error)  # noqa: TRY400 - where it was noticed says nothing
        return EXIT_USAGE
    except Exception:  # the log is where a service says what ended it
        _logger.exception("the service failed")
        return EXIT_FAILED
    return EXIT_OK
