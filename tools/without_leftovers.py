"""Run a command, and fail when a process that it started, however indirectly, outlives it.

    python tools/without_leftovers.py make test

The processes are found through the kernel: this process adopts every orphan among its descendants
(Linux: PR_SET_CHILD_SUBREAPER), also those with a session and an environment of their own. What
was left behind is named and ended. Elsewhere than on Linux the command is only run.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
# What was told to end may need this long to do so.
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.05


def adopt_orphans() -> bool:
    """Become the parent of orphaned descendants; False where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return False
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    return True


def parents() -> dict[int, int]:
    """The parent of every process that has not ended."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name in parentheses may hold spaces and parentheses itself.
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def descendants() -> set[int]:
    """Every living process below this one."""
    parent_of = parents()
    below = {os.getpid()}
    while more := {pid for pid, parent in parent_of.items() if parent in below} - below:
        below |= more
    return below - {os.getpid()}


def describe(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except (FileNotFoundError, ProcessLookupError):
        return "(has just ended)"
    return words.decode(errors="replace").strip()


def wait_for_none() -> set[int]:
    """Wait a little for the descendants to end; return those that did not."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := descendants()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left


def end(pids: set[int], with_signal: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, with_signal)
        except ProcessLookupError:
            continue


def main() -> int:
    command = sys.argv[1:]
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    watching = adopt_orphans()
    exit_code = subprocess.run(command, check=False).returncode
    left = wait_for_none() if watching else set()
    for pid in sorted(left):
        print(f"left behind: {pid} {describe(pid)}", file=sys.stderr)
    end(left, signal.SIGTERM)
    if left:
        end(wait_for_none(), signal.SIGKILL)
    return exit_code or (1 if left else 0)


if __name__ == "__main__":
    sys.exit(main())
