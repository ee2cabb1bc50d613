"""How long the second start of a system takes, from the command to ready."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMEOUT_S = 240.0


def ready_warm_seconds() -> float:
    """Starts a second system in a temporary state folder twice; answers the second time."""
    with tempfile.TemporaryDirectory(prefix="kongflow-bench-") as folder:
        state_dir = Path(folder) / "state"
        kongflow("up", "--detach", state_dir=state_dir)
        kongflow("down", state_dir=state_dir)
        started = time.perf_counter()
        kongflow("up", "--detach", state_dir=state_dir)
        seconds = time.perf_counter() - started
        kongflow("down", state_dir=state_dir)
        return seconds


def kongflow(*arguments: str, state_dir: Path) -> None:
    """Carries out a command on the system of a state folder, whatever the environment names."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL") and not name.startswith("KONGFLOW_")
    }
    environment["KONGFLOW_STATE_DIR"] = str(state_dir)
    subprocess.run(
        [sys.executable, "-m", "kongflow_cli", *arguments],
        env=environment,
        check=True,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
