"""Where the names of users' URLs lead, and which of those addresses are let through."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from kongflow_common.fresh_answers import FreshAnswers
from kongflow_common.http.addresses import AddressPolicy

__all__ = ["AddressForbidden", "JudgingResolver", "SystemNames", "forbidden_in"]

_THREADS = 64
_AS_NUMBERS = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_Question = tuple[str, int, socket.AddressFamily]


class AddressForbidden(OSError):
    """No address that a URL leads to may be connected to; the message says why."""


class JudgingResolver(AbstractResolver):
    """Lets only those addresses of a name through that may be connected to.

    `names` is its owner's to close.
    """

    def __init__(self, names: AbstractResolver, policy: AddressPolicy) -> None:
        self._names = names
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses that passed; raises OSError when none did, or there are none."""
        found = await self._names.resolve(host, port, family)
        passed = [each for each in found if not self._policy.refusal(each["host"])]
        if found and not passed:
            # Not which address: that may be what only this side's name servers tell.
            refusal = self._policy.refusal(found[0]["host"])
            raise AddressForbidden(f"The URL's host leads to no address to call: {refusal}")
        return passed

    async def close(self) -> None:
        """Nothing is held here."""


class SystemNames(AbstractResolver):
    """Asks the machine's own functions, in threads that nothing else waits for.

    They cannot be stopped, so a name whose servers are silent holds one thread, however many
    calls wait for it. Answers are kept for seconds: what they lead to is judged each time.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="names")
        self._answers = FreshAnswers(self._ask, what="a name")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name; raises OSError when it has none."""
        return list(await self._answers.get((host, port, family)) or [])

    async def close(self) -> None:
        """Give up what is being asked."""
        await self._answers.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: _Question) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _look_up, question)


def forbidden_in(error: BaseException) -> AddressForbidden | None:
    """The refusal behind an error of the HTTP library, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressForbidden):
            return cause
        inner = getattr(cause, "os_error", None)
        if isinstance(inner, AddressForbidden):
            return inner
        cause = cause.__cause__ or cause.__context__
    return None


def _look_up(question: _Question) -> list[ResolveResult]:
    host, port, family = question
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=family,
            proto=proto,
            flags=_AS_NUMBERS,
        )
        for family, _, proto, _, address in found
    ]
