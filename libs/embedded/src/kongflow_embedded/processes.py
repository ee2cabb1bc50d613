"""What can be known and done about processes that are not our children."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kongflow_embedded.errors import EmbeddedServerError

_HAS_PROC = Path("/proc/self/stat").exists()


def process_identity(pid: int) -> str | None:
    """Returns what tells this process from a later one with the same id.

    None when there is none, or it ended and only waits for its parent to notice.
    """
    if _HAS_PROC:
        fields = _stat_fields(pid)
        return None if fields is None or fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
    answer = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=5.0,
        check=False,
    )
    return answer.stdout.strip() or None


def process_cwd(pid: int) -> Path | None:
    """Returns the working folder of a process; None where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def end_process(pid: int, signals: Sequence[signal.Signals], *, timeout: float) -> None:
    """Ends a process that is not our child: sends each signal in turn, waiting after each.

    `timeout` is in seconds, per signal. The process is followed by its identity, so that a new
    process with the same id is left alone. Raises EmbeddedServerError when it does not end.
    """
    identity = process_identity(pid)
    for number in signals:
        if identity is None or process_identity(pid) != identity:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + timeout
        while process_identity(pid) == identity:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        else:
            return
    raise EmbeddedServerError(f"Process {pid} does not end.")


def _stat_fields(pid: int) -> list[str] | None:
    """Returns the fields of /proc/<pid>/stat after the name, from the state on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown-boot"
