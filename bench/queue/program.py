"""What a measured queue's program does, whatever the queue: standard library only.

    prepare                          make the tables
    enqueue SIZE CALLERS SECONDS     jobs per second, SIZE in each request
    fill COUNT                       put so many jobs in, to be drained
    send RATE SECONDS                jobs by the clock, whether or not the answers came
    work COUNT                       be the worker; say when COUNT jobs have been run

Each answers with one line of JSON on its standard output. A job's argument is the moment, in
microseconds, at which it was handed to the queue; 0 when nobody wants to know.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

WARM_UP = 25
"""The jobs that `send` sends first; no latency is taken of them."""

OnJob = Callable[[int], None]
"""Is called by each job with its argument."""


class Queue(Protocol):
    """An open queue, to put jobs into."""

    async def add(self, sent: int) -> None:
        """Stores one job, durably when it returns."""

    async def add_many(self, count: int) -> None:
        """Stores so many jobs in one request."""


@runtime_checkable
class WorkingQueue(Queue, Protocol):
    """One that also runs its jobs in this process."""

    async def work(self, on_job: OnJob) -> None:
        """Runs jobs until cancelled."""


class Tally:
    """Counts the jobs that were run, and says so when they are all."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._first = 0.0
        self._latencies: list[float] = []

    def note(self, sent: int) -> None:
        """Takes a job's argument as the job runs."""
        now = time.time()
        if not self._first:
            self._first = now
        if sent:
            self._latencies.append(now * 1_000 - sent / 1_000)
        self._left -= 1
        if self._left == 0:
            say({"first": self._first, "last": now, "latencies": self._latencies})


def say(answer: object) -> None:
    """Answers whoever measures."""
    print(json.dumps(answer), flush=True)


def main(
    open_queue: Callable[[], AbstractAsyncContextManager[Queue]],
    prepare: Callable[[], object] | None = None,
) -> None:
    """Carries out the command that the program was called with."""
    command, *words = sys.argv[1:]
    if command == "prepare":
        if prepare is not None:
            prepare()
        say({})
        return
    asyncio.run(_carry_out(open_queue, command, words))


async def _carry_out(
    open_queue: Callable[[], AbstractAsyncContextManager[Queue]], command: str, words: list[str]
) -> None:
    async with open_queue() as queue:
        match command:
            case "enqueue":
                say(await _enqueue(queue, int(words[0]), int(words[1]), float(words[2])))
            case "fill":
                say(await _fill(queue, int(words[0])))
            case "send":
                say(await _send(queue, float(words[0]), float(words[1])))
            case "work" if isinstance(queue, WorkingQueue):
                await queue.work(Tally(int(words[0])).note)
            case _:
                raise SystemExit(f"no such command: {command}")


async def _enqueue(queue: Queue, size: int, callers: int, seconds: float) -> dict[str, float]:
    async def caller(until: float) -> int:
        requests = 0
        while time.perf_counter() < until:
            await (queue.add_many(size) if size > 1 else queue.add(0))
            requests += 1
        return requests

    # Connections, plans and caches are warm when it counts.
    await asyncio.gather(*(caller(time.perf_counter() + 0.5) for _ in range(callers)))
    started = time.perf_counter()
    requests = await asyncio.gather(*(caller(started + seconds) for _ in range(callers)))
    return {"jobs": sum(requests) * size, "seconds": time.perf_counter() - started}


async def _fill(queue: Queue, count: int) -> dict[str, float]:
    for _ in range(count // 100):
        await queue.add_many(100)
    return {"jobs": count}


async def _send(queue: Queue, rate: float, seconds: float) -> dict[str, float]:
    for _ in range(WARM_UP):
        await queue.add(0)
        await asyncio.sleep(1 / rate)
    started = time.perf_counter()
    sending: list[asyncio.Task[None]] = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        sending.append(asyncio.create_task(queue.add(time.time_ns() // 1_000)))
    await asyncio.gather(*sending)
    return {"jobs": len(sending)}


def database_url() -> str:
    """The database that is this queue's alone."""
    return os.environ["BENCH_DATABASE_URL"]


def redis_url() -> str:
    """The Redis that is empty but for this queue."""
    return os.environ["BENCH_REDIS_URL"]
