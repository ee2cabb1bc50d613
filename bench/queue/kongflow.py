"""The worker queue as a contender: its server, its worker, and a target that does nothing."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc_tools
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.queue.contenders import Stores, python_module
from bench.queue.processes import ROOT, Command, Running, ask, running
from kongflow_embedded.ports import free_ports
from kongflow_workerqueue.worker_settings import WorkerSettings

TARGET = "bench"
BATCH_KIND = "bench.noop"
SINGLE_KIND = "bench.singleNoop"
# For jobs as short as these; what is left is as it is by default.
SLOTS = {**WorkerSettings.model_fields["worker_slots"].default, "events": 1_000}
OPEN_JOBS = "SELECT FROM workerqueue.queued_jobs WHERE state <> 'completed' LIMIT 1"


@dataclass(frozen=True)
class WorkerAndTarget:
    """The worker calls; the target counts."""

    report: Running
    worker: Running

    @property
    def pids(self) -> tuple[int, ...]:
        """What runs beside the server."""
        return (self.report.pid, self.worker.pid)


@dataclass
class KongFlow:
    """Jobs of one kind, in batch calls or in single ones."""

    name: str
    jobs: int
    kind: str
    stores: Stores
    producer_module: str = "bench.queue.producer"
    worker_command: tuple[str, ...] = field(
        default_factory=lambda: (*python_module("kongflow_workerqueue"), "worker")
    )
    has_server: bool = True
    """Whether a server takes the jobs in, or the worker itself."""
    server_pids: tuple[int, ...] = ()
    _stack: ExitStack = field(default_factory=ExitStack)
    _ports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keys = {name: Ed25519PrivateKey.generate() for name in ("workerqueue", TARGET)}
        self._descriptors = self.stores.folder / "noop.binpb"
        compile_descriptors(self._descriptors)

    def begin(self) -> None:
        """Migrates, and starts the server."""
        self.stores.make_empty(self.name)
        self._ports = free_ports(3)
        migrate = (*python_module("kongflow_workerqueue"), "migrate")
        subprocess.run(migrate, env=self._env(), cwd=ROOT, check=True, capture_output=True)
        ask(self.producer().with_words("prepare"), self._log("producer"))
        if self.has_server:
            server = Command((*python_module("kongflow_workerqueue"), "serve"), self._env())
            running_server = self._stack.enter_context(running(server, self._log("server")))
            self.server_pids = (running_server.pid,)

    def end(self) -> None:
        """Ends the server."""
        self._stack.close()

    def producer(self) -> Command:
        """The program that puts jobs in."""
        env = {
            **self._env(),
            "BENCH_DATABASE_URL": self.stores.database_url(self.name),
            "BENCH_SERVER": f"127.0.0.1:{self._ports[1]}",
            "BENCH_TARGET": TARGET,
            "BENCH_KEY": private_text(self._keys[TARGET]),
            "BENCH_KIND": self.kind,
        }
        return Command(python_module(self.producer_module), env)

    @contextmanager
    def worker(self, expected: int) -> Iterator[WorkerAndTarget]:
        """Runs a worker and its target."""
        target = Command(python_module("bench.queue.target"), self._env())
        words = (self._descriptors, self._ports[2], expected)
        worker = Command(self.worker_command, self._env())
        with (
            running(target.with_words(*words), self._log("target")) as counting,
            running(worker, self._log("worker")) as working,
        ):
            yield WorkerAndTarget(counting, working)

    def is_empty(self) -> bool:
        """Asks the ledger."""
        return not self.stores.finds(self.name, OPEN_JOBS)

    def _env(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("KONGFLOW_")},
            "KONGFLOW_DATABASE_URL": self.stores.database_url(self.name),
            "KONGFLOW_REDIS_URL": self.stores.redis_url,
            "KONGFLOW_LISTEN": f"127.0.0.1:{self._ports[0]}",
            "KONGFLOW_TASKS_LISTEN": f"127.0.0.1:{self._ports[1]}",
            # Nobody with an API key calls: the bench is a service.
            "KONGFLOW_TENANCY_TARGET": "127.0.0.1:1",
            "KONGFLOW_SERVICE_KEY": private_text(self._keys["workerqueue"]),
            "KONGFLOW_SERVICE_PUBLIC_KEYS": json.dumps({TARGET: public_text(self._keys[TARGET])}),
            "KONGFLOW_WORKER_SLOTS": json.dumps(SLOTS),
            "KONGFLOW_TASK_TARGETS": json.dumps({TARGET: f"127.0.0.1:{self._ports[2]}"}),
            "KONGFLOW_TASK_DESCRIPTOR_SETS": json.dumps({TARGET: str(self._descriptors)}),
        }

    def _log(self, process: str) -> Path:
        return self.stores.folder / f"{self.name}-{process}.log"


def compile_descriptors(target: Path) -> None:
    """Writes the descriptor set of noop_tasks.proto, with all that it imports."""
    folder = Path(__file__).parent
    includes = (folder, ROOT / "protos", ROOT / "third_party" / "googleapis")
    built_in = Path(grpc_tools.__file__).parent / "_proto"
    subprocess.run(
        [
            *python_module("grpc_tools.protoc"),
            *(f"-I{include}" for include in (*includes, built_in)),
            "--include_imports",
            f"--descriptor_set_out={target}",
            str(folder / "noop_tasks.proto"),
        ],
        check=True,
    )


def private_text(key: Ed25519PrivateKey) -> str:
    """As the settings take it."""
    return base64.b64encode(key.private_bytes_raw()).decode()


def public_text(key: Ed25519PrivateKey) -> str:
    """As the settings take it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
