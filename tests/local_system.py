"""A system started by `kongflow up` in a folder of its own, as a user would start it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 180.0
STOP_SECONDS = 90.0


@dataclass(frozen=True)
class LocalSystem:
    """A running system."""

    state_dir: Path

    def connection(self) -> dict[str, Any]:
        """What dev.json says now: pids change when a process is started again."""
        return dict(json.loads((self.state_dir / "dev.json").read_text()))

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call with the API key carries."""
        return (("authorization", f"Bearer {self.connection()['api_key']}"),)

    @property
    def operator_metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call of the operator carries."""
        return (("authorization", f"Bearer {self.connection()['operator_token']}"),)

    def target(self, context: str) -> str:
        """Where a context's clients call."""
        return str(self.connection()["grpc"][context])

    def pid(self, name: str) -> int | None:
        """The process's id, or ``None`` while it is not running."""
        found = self.connection()["pids"].get(name)
        return int(found) if found is not None else None

    def signal(self, name: str, number: signal.Signals) -> int | None:
        """Sends a signal to one of the system's own processes; answers its id, if it ran."""
        pid = self.pid(name)
        if pid is None:
            return None
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid

    def kongflow(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs the command against this system."""
        return run_kongflow(self.state_dir, *arguments, check=check)


@contextmanager
def local_system(environment: Mapping[str, str] | None = None) -> Iterator[LocalSystem]:
    """Starts a system and ends it, whatever happened in between.

    `environment` holds the settings that `kongflow up` is called with.
    """
    with tempfile.TemporaryDirectory(prefix="kongflow-test-") as folder:
        state_dir = Path(folder) / "state"
        started = run_kongflow(state_dir, "up", "--detach", check=False, environment=environment)
        try:
            if started.returncode != 0:
                raise RuntimeError(f"the system did not start:\n{started.stdout}{started.stderr}")
            yield LocalSystem(state_dir)
        finally:
            run_kongflow(state_dir, "down", check=False)


def run_kongflow(
    state_dir: Path, *arguments: str, check: bool, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command with a state folder, far from what the developer's shell has set."""
    completed = subprocess.run(
        [sys.executable, "-m", "kongflow_cli", *arguments],
        env={
            **clean_environment(os.environ),
            "KONGFLOW_STATE_DIR": str(state_dir),
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if check and completed.returncode != 0:
        raise RuntimeError(
            f"kongflow {' '.join(arguments)}: {completed.returncode}\n"
            f"{completed.stdout}{completed.stderr}"
        )
    return completed


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without other servers and other systems."""
    return {
        name: value
        for name, value in environment.items()
        if name not in ("DATABASE_URL", "REDIS_URL") and not name.startswith("KONGFLOW_")
    }


def poll_until(condition: Any, *, seconds: float, what: str, interval: float = 0.1) -> None:
    """Waits until the condition holds; raises AssertionError naming it when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(interval)
