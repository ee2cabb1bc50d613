"""A worker queue of its own for the campaign: every process, and a line to cut for each."""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kongflow_common.db.migrate import upgrade
from kongflow_embedded.ports import free_ports
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer, temporary_postgres, temporary_valkey
from kongflow_embedded.valkey import ValkeyServer
from tests.faults.queue_target import SCHEMA
from tests.faults.queue_wire import Line, line_to
from tests.local_system import clean_environment

MIGRATIONS = Path(__file__).parents[2] / "services/workerqueue/migrations"
WORKERS = ("worker 1", "worker 2", "worker 3")
SERVICES = ("events", "runs")
# So few that no worker has all of what takes long.
_SLOTS = json.dumps({"events": 50, "execution": 10})
_RESTART_SECONDS = 0.2
_END_SECONDS = 20.0


class Kept:
    """A process that is started again whenever it ends."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self._arguments = arguments
        self._env = env
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.starts = 0

    async def run(self) -> None:
        """Keeps it up until cancelled, and then ends it."""
        with self._log.open("ab") as log:
            try:
                while True:
                    self.starts += 1
                    self._process = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", *self._arguments, env=dict(self._env), stderr=log
                    )
                    await self._process.wait()
                    await asyncio.sleep(_RESTART_SECONDS)
            finally:
                await self._end()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _end(self) -> None:
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if self._process is None:
            return
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()


@dataclass(frozen=True)
class QueueScene:
    """The system of the campaign. `lines` and `processes` are by name."""

    postgres: RunningServer[PostgresServer]
    valkey: RunningServer[ValkeyServer]
    lines: Mapping[str, Line]
    processes: Mapping[str, Kept]
    enqueue_address: str
    keys: Mapping[str, Ed25519PrivateKey]

    @property
    def database_url(self) -> str:
        """The database itself, past all lines."""
        return self.postgres.server.url()


@asynccontextmanager
async def queue_scene() -> AsyncIterator[QueueScene]:
    """Starts it all, and ends it."""
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="kongflow-queue-faults-")))
        postgres = stack.enter_context(temporary_postgres())
        valkey = stack.enter_context(temporary_valkey())
        upgrade(postgres.server.url(), MIGRATIONS, "workerqueue")
        with psycopg.connect(postgres.server.url()) as connection:
            connection.execute(SCHEMA.encode())
        lines = {
            f"{name} to {kind}": await stack.enter_async_context(line_to(port))
            for name in ("server", *WORKERS)
            for kind, port in (("postgresql", postgres.port), ("redis", valkey.port))
        }
        listen, tasks_listen, target_port = free_ports(3)
        keys = {name: Ed25519PrivateKey.generate() for name in ("workerqueue", *SERVICES)}

        def environment(name: str, **more: str) -> dict[str, str]:
            return {
                **clean_environment(os.environ),
                "KONGFLOW_DATABASE_URL": _through(
                    postgres.server.url(), lines[f"{name} to postgresql"]
                ),
                "KONGFLOW_REDIS_URL": _through(valkey.server.url(), lines[f"{name} to redis"]),
                "KONGFLOW_SERVICE_KEY": _text(keys["workerqueue"].private_bytes_raw()),
                "KONGFLOW_INSTANCE": name,
                **more,
            }

        server = environment(
            "server",
            KONGFLOW_LISTEN=f"127.0.0.1:{listen}",
            KONGFLOW_TASKS_LISTEN=f"127.0.0.1:{tasks_listen}",
            KONGFLOW_TENANCY_TARGET="127.0.0.1:1",
            KONGFLOW_SERVICE_PUBLIC_KEYS=json.dumps(
                {name: _text(keys[name].public_key().public_bytes_raw()) for name in SERVICES}
            ),
        )
        targets = json.dumps(dict.fromkeys(SERVICES, f"127.0.0.1:{target_port}"))
        processes = {
            "server": Kept(("kongflow_workerqueue", "serve"), server, logs / "server"),
            "target": Kept(
                ("tests.faults.queue_target", str(target_port), postgres.server.url()),
                os.environ,
                logs / "target",
            ),
            **{
                name: Kept(
                    ("kongflow_workerqueue", "worker"),
                    environment(name, KONGFLOW_TASK_TARGETS=targets, KONGFLOW_WORKER_SLOTS=_SLOTS),
                    logs / name,
                )
                for name in WORKERS
            },
        }
        await stack.enter_async_context(_running(processes.values()))
        address = f"127.0.0.1:{tasks_listen}"
        yield QueueScene(postgres, valkey, lines, processes, address, keys)


@asynccontextmanager
async def _running(processes: Iterable[Kept]) -> AsyncIterator[None]:
    """Keeps all of them running until the end."""
    tasks = [asyncio.create_task(process.run()) for process in processes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _through(url: str, line: Line) -> str:
    parts = urlsplit(url)
    before, _, host = parts.netloc.rpartition("@")
    host = f"{host.rpartition(':')[0]}:{line.port}"
    return urlunsplit(parts._replace(netloc=f"{before}@{host}" if before else host))
