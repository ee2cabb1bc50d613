"""What the whole system uses while nothing happens: everything that `kongflow up` starts."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.queue.measures import cpu_percent

SETTLE_SECONDS = 15.0
SECONDS = 20.0
TIMEOUT_S = 240.0


def idle_percent() -> float:
    """Starts a system of its own, and takes its CPU in percent of one core."""
    with tempfile.TemporaryDirectory(prefix="kongflow-bench-") as folder:
        state_dir = Path(folder) / "state"
        _kongflow("up", "--detach", state_dir=state_dir)
        try:
            time.sleep(SETTLE_SECONDS)
            state = json.loads((state_dir / "dev.json").read_text())
            # All are children of the one process that looks after them.
            supervisor = psutil.Process(int(state["pids"]["worker"])).ppid()
            return cpu_percent((supervisor,), SECONDS)
        finally:
            _kongflow("down", state_dir=state_dir)


def _kongflow(*arguments: str, state_dir: Path) -> None:
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
