"""A worker as a process of its own, to be stopped and killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.workerqueue.tests.worker.queue_under_test import QueueUnderTest, private_key


@dataclass(frozen=True)
class WorkerProcess:
    process: subprocess.Popen[bytes]
    log: Path

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self, timeout: float = 20.0) -> int:
        """Ends it as an operator would; returns its exit code."""
        self.process.terminate()
        return self.process.wait(timeout)

    def has_logged(self, text: str) -> bool:
        return text in self.log.read_text()


@contextmanager
def worker_process(
    queue: QueueUnderTest,
    targets: Mapping[str, str],
    log: Path,
    *,
    ahead_seconds: float = 0.0,
    **more: str,
) -> Iterator[WorkerProcess]:
    env = {
        **os.environ,
        "KONGFLOW_DATABASE_URL": queue.database_url,
        "KONGFLOW_REDIS_URL": queue.redis_url,
        "KONGFLOW_SERVICE_KEY": private_key(),
        "KONGFLOW_TASK_TARGETS": json.dumps(dict(targets)),
        "KONGFLOW_DRAIN_SECONDS": "5",
        "PYTHONWARNINGS": "",
        **more,
    }
    module = ["kongflow_workerqueue", "worker"]
    if ahead_seconds:
        module = ["services.workerqueue.tests.worker.worker_in_another_time", str(ahead_seconds)]
    with log.open("ab") as stream:
        process = subprocess.Popen([sys.executable, "-m", *module], env=env, stderr=stream)
        try:
            yield WorkerProcess(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
