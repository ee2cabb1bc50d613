"""What is done to the system, at moments that a seed decides."""

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import redis.asyncio

from tests.local_system import LocalSystem

logger = logging.getLogger("faults")

VALKEY_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """How often each fault happens within how many seconds."""

    seconds: float
    worker_kills: int = 5
    events_kills: int = 2
    runs_kills: int = 2
    jobs_kills: int = 2
    endpoints_kills: int = 2
    valkey_flushes: int = 2
    valkey_stop_seconds: float = VALKEY_STOP_SECONDS


Fault = Callable[[], Awaitable[None]]


def schedule(system: LocalSystem, plan: Plan, seed: int) -> list[tuple[float, str, Fault]]:
    """The faults with their moments in seconds from the start, in order."""
    chance = random.Random(seed)
    faults: list[tuple[str, Fault]] = [
        *[("kill worker", kill(system, "worker"))] * plan.worker_kills,
        *[("kill events", kill(system, "events"))] * plan.events_kills,
        *[("kill runs", kill(system, "runs"))] * plan.runs_kills,
        *[("kill jobs", kill(system, "jobs"))] * plan.jobs_kills,
        *[("kill endpoints", kill(system, "endpoints"))] * plan.endpoints_kills,
        *[("empty valkey", lambda: empty_valkey(system))] * plan.valkey_flushes,
    ]
    moments = [(chance.uniform(0.05, 0.95) * plan.seconds, name, do) for name, do in faults]
    if plan.valkey_stop_seconds:
        moments.append(
            (
                chance.uniform(0.1, 0.5) * plan.seconds,
                "stop valkey",
                lambda: stop_valkey(system, plan.valkey_stop_seconds),
            )
        )
    return sorted(moments, key=lambda moment: moment[0])


async def carry_out(moments: list[tuple[float, str, Fault]]) -> None:
    """Does each fault at its moment; a long one does not put off the others."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.TaskGroup() as group:
        for moment, name, do in moments:
            await asyncio.sleep(max(0.0, started + moment - loop.time()))
            logger.info("%5.1f s: %s", loop.time() - started, name)
            group.create_task(_do(do))


async def _do(fault: Fault) -> None:
    await fault()


def kill(system: LocalSystem, name: str) -> Fault:
    """SIGKILL; waits for the process first if it is just being started."""

    async def fault() -> None:
        # Another process decides when it is there again.
        while system.signal(name, signal.SIGKILL) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    return fault


async def empty_valkey(system: LocalSystem) -> None:
    """Deletes every key, as an operator's mistake or a failover without data would."""
    client = redis.asyncio.Redis.from_url(
        system.connection()["redis_url"], socket_timeout=60, socket_connect_timeout=60
    )
    async with client:
        await client.flushall()


async def stop_valkey(system: LocalSystem, seconds: float) -> None:
    """Freezes the server: it takes connections and answers nothing."""
    system.signal("valkey", signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        system.signal("valkey", signal.SIGCONT)


async def hold_down(system: LocalSystem, names: tuple[str, ...], seconds: float) -> None:
    """Keeps processes from serving: each is killed again as soon as it is started again."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        for name in names:
            system.signal(name, signal.SIGKILL)
        await asyncio.sleep(0.05)
