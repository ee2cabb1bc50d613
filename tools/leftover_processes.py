"""Find the processes that carry a mark in their environment, end them and say which they were.

.ci/run exports the mark before it starts anything, so whatever still has it afterwards was left
behind. Exits 1 when there was one.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

GRACE_SECONDS = 5.0


def own_line() -> set[int]:
    """This process and all that started it: they carry the mark rightly."""
    line, pid = set(), os.getpid()
    while pid > 1:
        line.add(pid)
        # The name in parentheses may hold spaces; the parent's id is the second field after it.
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return line


def marked(mark: str) -> dict[int, str]:
    """Id and command line of every process with the mark, save our own line."""
    found = {}
    ours = own_line()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in ours:
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mark.encode() in environment:
            found[int(folder.name)] = command.strip() or "(ended, not yet collected)"
    return found


def end(pids: list[int], with_signal: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, with_signal)
        except ProcessLookupError:
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mark", help="NAME=VALUE, as it stands in the environment")
    mark = parser.parse_args().mark
    # What was just told to end may still be ending.
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid, command in sorted(left.items()):
        print(f"left behind: {pid} {command}")
    end(list(left), signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    end(list(marked(mark)), signal.SIGKILL)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
