"""What the whole system uses while nothing happens: everything that `kongflow up` starts."""

import json
import tempfile
import time
from pathlib import Path

import psutil

from bench.queue.measures import cpu_percent
from bench.startup import kongflow

SETTLE_SECONDS = 15.0
SECONDS = 20.0


def idle_percent() -> float:
    """Starts a system of its own, and takes its CPU in percent of one core."""
    with tempfile.TemporaryDirectory(prefix="kongflow-bench-") as folder:
        state_dir = Path(folder) / "state"
        kongflow("up", "--detach", state_dir=state_dir)
        try:
            time.sleep(SETTLE_SECONDS)
            state = json.loads((state_dir / "dev.json").read_text())
            # All are children of the one process that looks after them.
            supervisor = psutil.Process(int(state["pids"]["worker"])).ppid()
            return cpu_percent((supervisor,), SECONDS)
        finally:
            kongflow("down", state_dir=state_dir)
