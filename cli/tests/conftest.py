"""Systems of stand-in services, run by the real supervisor in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kongflow_cli.local.state_folder import StateFolder
from kongflow_embedded.processes import process_identity

_SYSTEM = str(Path(__file__).with_name("stand_in_system.py"))
_SECONDS = 60.0


def eventually(predicate: Callable[[], bool], what: str, seconds: float = _SECONDS) -> None:
    """Returns when `predicate` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.02)


def clean_environment() -> dict[str, str]:
    """Returns this environment without settings that would lead a system elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL"} and not name.startswith("KONGFLOW_")
    }


class System:
    """One start of a stand-in system."""

    def __init__(self, state: StateFolder, variant: str = "plain", seconds: float = 60) -> None:
        self.state = state
        state.make()
        self._output = (state.path / "output").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, _SYSTEM, str(state.path), variant, str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=clean_environment(),
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """What the supervisor wrote so far."""
        return (self.state.path / "output").read_text()

    @property
    def connection(self) -> dict[str, Any]:
        """The content of dev.json."""
        content = json.loads(self.state.connection_file.read_text())
        assert isinstance(content, dict)
        return content

    @property
    def pids(self) -> dict[str, int]:
        """The processes that dev.json names."""
        return dict(self.connection["pids"])

    def recorded_pids(self) -> dict[str, int]:
        """The processes written down for a later start."""
        marks = json.loads((self.state.path / "processes.json").read_text())
        return {name: mark["pid"] for name, mark in marks.items()}

    def wait_ready(self) -> "System":
        """Returns when the system says that it is ready."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.output
            # dev.json alone may be that of an earlier, killed system.
            return "ready in" in self.output

        eventually(is_ready, "ready")
        return self

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the supervisor alone."""
        self.process.send_signal(number)

    def wait_end(self, seconds: float = _SECONDS) -> int:
        """Returns the supervisor's exit code."""
        code = self.process.wait(seconds)
        self._output.close()
        return code

    def eventually(self, predicate: Callable[[], bool], what: str) -> None:
        """Returns when `predicate` holds; fails when it does not come true in time."""
        eventually(predicate, f"{what}\n{self.output}")

    def wait_gone(self, pids: dict[str, int]) -> None:
        """Returns when none of the processes runs."""

        def all_gone() -> bool:
            return not [pid for pid in pids.values() if process_identity(pid)]

        self.eventually(all_gone, f"the end of {pids}")

    def end(self) -> int:
        """Ends the system in order."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait_end()


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """A state folder that does not exist yet."""
    return StateFolder.at(tmp_path / "state")


@pytest.fixture
def start(state: StateFolder) -> Iterator[Callable[..., System]]:
    """Starts systems in the state folder, and ends them after the test."""
    systems: list[System] = []

    def begin(variant: str = "plain", seconds: float = 60) -> System:
        systems.append(System(state, variant, seconds))
        return systems[-1]

    yield begin
    for system in systems:
        if system.process.poll() is None:
            system.end()
    left = {name: mark.pid for name, mark in state.leftovers().items()}
    for pid in left.values():
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.fixture
def start_named_elsewhere(tmp_path: Path) -> Iterator[Callable[[str], System]]:
    """Starts further systems, each in a state folder of its own."""
    systems: list[System] = []

    def begin(name: str) -> System:
        systems.append(System(StateFolder.at(tmp_path / name)))
        return systems[-1]

    yield begin
    for system in systems:
        system.end()


@pytest.fixture
def kongflow() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the real command line to its end."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, answer: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kongflow_cli", *arguments],
            input=answer,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={**clean_environment(), **(env or {})},
            check=False,
        )

    return run
