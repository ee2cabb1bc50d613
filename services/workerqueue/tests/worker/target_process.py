"""A target as a process of its own, which some jobs end: `python -m ... PORT LOG`.

Each call that it has begun is a line in LOG. A job whose argument begins with `poison` kills it;
a call of many jobs takes half a second.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kongflow_embedded.ports import free_ports
from services.workerqueue.tests.worker.tasks_server import Received, TasksServer

POISON = "poison"


@dataclass
class TargetProcess:
    """The process, started again whenever it has died."""

    port: int
    log: Path
    deaths: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def begun(self) -> list[list[str]]:
        """The arguments of the jobs of each call."""
        text = self.log.read_text() if self.log.exists() else ""
        return [line.split() for line in text.splitlines()]

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)

    async def keep_up(self) -> None:
        while True:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, str(self.port), str(self.log)
            )
            try:
                await self.process.wait()
            except asyncio.CancelledError:
                self.kill()
                await self.process.wait()
                raise
            self.deaths += 1


@asynccontextmanager
async def target_process(log: Path) -> AsyncIterator[TargetProcess]:
    target = TargetProcess(free_ports(1)[0], log)
    task = asyncio.create_task(target.keep_up())
    try:
        yield target
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def serve(port: int, log: Path) -> None:
    with log.open("a", buffering=1) as stream:

        async def on_call(_method: str, jobs: Sequence[Received]) -> None:
            stream.write(" ".join(job.argument for job in jobs) + "\n")
            if any(job.argument.startswith(POISON) for job in jobs):
                os.kill(os.getpid(), signal.SIGKILL)
            if len(jobs) > 1:
                await asyncio.sleep(0.5)

        server = TasksServer(on_call=on_call, port=port)
        await server.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
