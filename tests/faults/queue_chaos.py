"""What is done to the worker queue, at moments that a seed decides."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import redis.asyncio

from tests.faults.queue_scene import WORKERS, QueueScene

PAST_THE_LEASE_SECONDS = 9.0
_LONGEST_SILENCE_SECONDS = 4.0
_SILENCES = 0.3

Fault = Callable[[], Awaitable[None]]
Moment = tuple[float, str, Fault]


@dataclass(frozen=True)
class QueuePlan:
    """How often each fault happens within how many seconds."""

    seconds: float = 150.0
    cuts: int = 50
    worker_kills: int = 6
    worker_stops: int = 4
    server_kills: int = 3
    target_kills: int = 3
    postgres_restarts: int = 2
    postgres_kills: int = 1
    redis_restarts: int = 2
    redis_flushes: int = 3


def queue_schedule(scene: QueueScene, plan: QueuePlan, seed: int) -> list[Moment]:
    """The faults with their moments in seconds from the start, in order."""
    chance = random.Random(seed)
    faults: list[tuple[str, Fault]] = [_cut(scene, chance) for _ in range(plan.cuts)]
    faults += [_kill(scene, chance.choice(WORKERS)) for _ in range(plan.worker_kills)]
    faults += [_stop(scene, WORKERS[number % len(WORKERS)]) for number in range(plan.worker_stops)]
    faults += [_kill(scene, "server")] * plan.server_kills
    faults += [_kill(scene, "target")] * plan.target_kills
    faults += [("restart postgresql", lambda: _restart(scene, "stop"))] * plan.postgres_restarts
    faults += [("kill postgresql", lambda: _restart(scene, "kill"))] * plan.postgres_kills
    faults += [("restart redis", lambda: _restart_redis(scene))] * plan.redis_restarts
    faults += [("empty redis", lambda: _empty(scene))] * plan.redis_flushes
    moments = [(chance.uniform(0.02, 0.98) * plan.seconds, *fault) for fault in faults]
    return sorted(moments, key=lambda moment: moment[:2])


def _cut(scene: QueueScene, chance: random.Random) -> tuple[str, Fault]:
    name = chance.choice(sorted(scene.lines))
    seconds = chance.uniform(0.2, _LONGEST_SILENCE_SECONDS)
    if chance.random() < _SILENCES:
        return f"silence {name} for {seconds:.1f} s", lambda: scene.lines[name].fall_silent(seconds)

    async def cut() -> None:
        scene.lines[name].cut()

    return f"cut {name}", cut


def _kill(scene: QueueScene, name: str) -> tuple[str, Fault]:
    async def kill() -> None:
        scene.processes[name].send(signal.SIGKILL)

    return f"kill {name}", kill


def _stop(scene: QueueScene, name: str) -> tuple[str, Fault]:
    async def stop() -> None:
        scene.processes[name].send(signal.SIGSTOP)
        await asyncio.sleep(PAST_THE_LEASE_SECONDS)
        scene.processes[name].send(signal.SIGCONT)

    return f"stop {name} for {PAST_THE_LEASE_SECONDS:.0f} s", stop


_POSTGRES = asyncio.Lock()


async def _restart(scene: QueueScene, how: str) -> None:
    async with _POSTGRES:
        await asyncio.to_thread(scene.postgres.stop if how == "stop" else scene.postgres.kill)
        # The server ends with the thread that started it, so this thread starts it.
        scene.postgres.start()


_REDIS = asyncio.Lock()


async def _restart_redis(scene: QueueScene) -> None:
    async with _REDIS:
        await asyncio.to_thread(scene.valkey.kill)
        await asyncio.sleep(1)
        scene.valkey.start()


async def _empty(scene: QueueScene) -> None:
    async with _REDIS:
        client = redis.asyncio.Redis.from_url(scene.valkey.server.url())
        async with client:
            await client.flushall()
