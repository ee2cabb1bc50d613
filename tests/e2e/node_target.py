"""A system with the example target in Node joined to it, as the example's README tells."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from kongflow.workerqueue.v1 import queued_job_pb2
from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_embedded.ports import free_ports
from tests.local_system import LocalSystem, local_system, poll_until
from tests.node_program import ROOT, NodeProgram, node_command, node_environment, node_program

EXAMPLE = Path("examples/node-target")
TIMEOUT = 20.0


@dataclass(frozen=True)
class Warehouse:
    """The system, and the target that runs beside it."""

    system: LocalSystem
    program: NodeProgram
    channel: grpc.Channel

    @property
    def identity(self) -> dict[str, str]:
        """What `kongflow up` wrote for the target."""
        return dict(json.loads(identity_file(self.system).read_text()))

    def enqueue(self, *words: str) -> list[str]:
        """Runs the example's own command; answers the ids of the queued jobs."""
        completed = subprocess.run(
            node_command(ROOT / EXAMPLE / "enqueue.js", *words),
            env=node_environment({"KONGFLOW_TARGET_FILE": str(identity_file(self.system))}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (completed.returncode, completed.stderr) == (0, ""), completed.stderr
        return completed.stdout.splitlines()

    def queued_job(self, job_id: str) -> queued_job_pb2.QueuedJob:
        """A queued job as the operator sees it."""
        request = pb.GetQueuedJobRequest(id=job_id)
        job: queued_job_pb2.QueuedJob = self._call("GetQueuedJob", request).queued_job
        return job

    def queued_jobs(self, kind: str) -> list[queued_job_pb2.QueuedJob]:
        """The newest queued jobs of a kind."""
        request = pb.ListQueuedJobsRequest(filter=f'kind = "{kind}"', page_size=1_000)
        return list(self._call("ListQueuedJobs", request).queued_jobs)

    def ended(self, job_id: str) -> queued_job_pb2.QueuedJob:
        """A queued job once it has ended."""
        poll_until(
            lambda: self.queued_job(job_id).HasField("end_time"),
            seconds=TIMEOUT,
            what=f"the end of {job_id}",
        )
        return self.queued_job(job_id)

    def said(self, words: str) -> list[str]:
        """The lines of the target that hold `words`."""
        return [line for line in self.program.log if words in line]

    def _call(self, method: str, request: Any) -> Any:
        return getattr(WorkerQueueServiceStub(self.channel), method)(
            request, metadata=self.system.operator_metadata, timeout=TIMEOUT
        )


def build_descriptor_set(path: Path) -> None:
    """Builds what the example's methods are described by."""
    config = ("--config", f"{EXAMPLE}/buf.yaml", "--path", f"{EXAMPLE}/protos/warehouse")
    buf = Path(sys.executable).with_name("buf")
    subprocess.run([str(buf), "build", ".", *config, "-o", str(path)], cwd=ROOT, check=True)


def identity_file(system: LocalSystem) -> Path:
    """Where `kongflow up` writes who the target is."""
    return system.state_dir / "targets" / "warehouse.json"


@contextmanager
def warehouse(folder: Path) -> Iterator[Warehouse]:
    """Starts a system that knows of the target, and the target."""
    descriptor_set = folder / "warehouse.binpb"
    build_descriptor_set(descriptor_set)
    [port] = free_ports(1)
    settings = {
        "KONGFLOW_TASK_TARGETS": json.dumps({"warehouse": f"127.0.0.1:{port}"}),
        "KONGFLOW_TASK_DESCRIPTOR_SETS": json.dumps({"warehouse": str(descriptor_set)}),
    }
    with (
        local_system(settings) as system,
        grpc.insecure_channel(system.target("workerqueue")) as channel,
        node_program(
            ROOT / EXAMPLE / "target.js",
            environment={"KONGFLOW_TARGET_FILE": str(identity_file(system))},
        ) as program,
    ):
        yield Warehouse(system, program, channel)
