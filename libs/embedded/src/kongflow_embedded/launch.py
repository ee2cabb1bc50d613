"""How to start a server process: what to run, as whom, and what ends it.

A launch is plain data, so that a supervisor can own the process; `start` turns it into one.
On Linux the started process gets `stop_signal` when the thread that started it dies, whatever
killed it, so no server outlives the program that wanted it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kongflow_embedded.account import Account

# Runs between fork and the real program, in an interpreter of its own: a `preexec_fn` is not
# safe in a process with threads, and the death signal is lost when the user changes, so the
# order is: become the user, ask for the signal, look whether the parent is still there. What
# must be imported is imported before, because the new user may not reach the standard library.
_GUARD = """
import os, signal, sys
parent, number, uid, gid = (int(word) for word in sys.argv[1:5])
program = sys.argv[5:]
libc = None
if sys.platform == "linux":
    import ctypes
    libc = ctypes.CDLL(None)
if uid >= 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if libc is not None:
    libc.prctl(1, number, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(0)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
try:
    os.execv(program[0], program)
except OSError as error:
    sys.exit(f"{program[0]} cannot be run: {error.strerror}")
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to be started: program and arguments, whole environment, working folder, user."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    """Whom to run as; None is the current user."""
    stop_signal: signal.Signals = signal.SIGTERM
    """The signal that asks for an orderly end; also sent when the starter dies."""


def start(
    launch: Launch,
    *,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts the process in a session of its own, so that Ctrl-C reaches only the starter.

    Call it from a thread that lives as long as the process should.
    """
    uid, gid = (launch.account.uid, launch.account.gid) if launch.account else (-1, -1)
    numbers = (os.getpid(), int(launch.stop_signal), uid, gid)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, *map(str, numbers), *launch.argv],
        cwd=launch.cwd,
        env=dict(launch.env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def stop(
    process: subprocess.Popen[bytes],
    stop_signal: signal.Signals,
    *,
    timeout: float = 10.0,
    last_resort: signal.Signals = signal.SIGKILL,
) -> int:
    """Ends the process: asks, waits `timeout` seconds, then insists. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(last_resort)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
