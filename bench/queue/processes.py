"""Programs that are measured: their answers, their CPU, their end."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
ANSWER_SECONDS = 300.0


@dataclass(frozen=True)
class Command:
    """How a program is started."""

    argv: Sequence[str]
    env: Mapping[str, str]

    def with_words(self, *words: object) -> "Command":
        """The same with further words."""
        return Command((*self.argv, *(str(word) for word in words)), self.env)


class Running:
    """A program that runs; what it says beside its answers goes into a log."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def answer(self) -> dict[str, Any]:
        """Waits for the next line of JSON; raises SystemExit when the program ends without."""
        assert self._process.stdout is not None  # nosec B101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise SystemExit(f"{self._process.args!r} ended:\n{self._log.read_text()[-4000:]}")
        return dict(json.loads(line))


@contextmanager
def running(command: Command, log: Path) -> Iterator[Running]:
    """Runs a program for the length of the block."""
    with log.open("a") as stream:
        process = subprocess.Popen(
            command.argv,
            env=dict(command.env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
        try:
            yield Running(process, log)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def ask(command: Command, log: Path) -> dict[str, Any]:
    """Runs a program to its one answer."""
    with running(command, log) as program:
        return program.answer()


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes and their children have used."""
    return sum(_tree_cpu(pid) for pid in pids)


def _tree_cpu(pid: int) -> float:
    process = psutil.Process(pid)
    own = process.cpu_times()
    # children_* holds what ended children used; living ones are added one by one.
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)
