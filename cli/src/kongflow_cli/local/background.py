"""Starting a system that outlives its command, and ending it from another one."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from kongflow_cli.errors import CliError
from kongflow_cli.local.leftovers import end_leftovers
from kongflow_cli.local.state_folder import ProcessMark, StateFolder

_GRACE_SECONDS = 20.0
"""What the supervisor gets beyond its own deadline to say what is wrong and to end."""
_END_SECONDS = 90.0
_TAIL_LINES = 20


class Report:
    """The supervisor's end of the pipe to the command that started it: ready, or why not."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self, line: str) -> None:
        """Says that the system is ready."""
        self._send({"ready": line})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self._descriptor >= 0:
            self._send({"error": str(error) or type(error).__name__})

    def _send(self, content: dict[str, str]) -> None:
        with os.fdopen(self._descriptor, "w") as target:
            json.dump(content, target)
        self._descriptor = -1


def start_in_background(state: StateFolder, ready_seconds: float) -> None:
    """Starts a system that goes on after this command; prints the line when it is ready.

    Raises CliError, with the last log lines, when it is not ready within `ready_seconds`.
    """
    state.make()
    holder = state.supervisor()
    if holder is not None:
        raise CliError(
            f"A system already runs in {state.path} (process {holder.pid}); "
            "`kongflow down` ends it."
        )
    log = state.logs / "up.log"
    reading, writing = os.pipe()
    with open(reading, "rb") as report, log.open("wb") as output:  # noqa: PTH123
        log.chmod(0o600)
        try:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "kongflow_cli", "up"),
                    *("--state-dir", str(state.path), "--timeout", str(ready_seconds)),
                    *("--report-to", str(writing)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        try:
            answer = _read_all(report.fileno(), ready_seconds + _GRACE_SECONDS)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    match answer:
        case {"ready": str(line)}:
            print(line)
            # It lives on; only its own end reaps it.
            process.returncode = 0
        case {"error": str(message)}:
            # The code that it would have ended with in the foreground.
            raise CliError(message, process.wait(_END_SECONDS) or 1)
        case _:
            process.terminate()
            process.wait(_END_SECONDS)
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            raise CliError(f"The system did not start. Last lines of {log}:\n{tail}")


def end_system(state: StateFolder) -> str:
    """Ends the system of a state folder and waits; returns what was done, in a sentence.

    Raises CliError when it does not end, or belongs to somebody else.
    """
    holder = state.supervisor()
    if holder is None:
        return _end_without_supervisor(state)
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return f"The system in {state.path} has ended."
    except PermissionError:
        raise CliError(
            f"The system in {state.path} was started by another user (process {holder.pid})."
        ) from None
    _wait_for_end(holder, state)
    return f"The system in {state.path} has ended."


def _end_without_supervisor(state: StateFolder) -> str:
    if not state.is_system:
        return f"No system runs in {state.path}."
    left = list(state.leftovers())
    with state.locked():
        end_leftovers(state, lambda text: None)
    if left:
        return f"Ended what a killed system left behind in {state.path}: {', '.join(left)}."
    return f"No system runs in {state.path}."


def _wait_for_end(holder: ProcessMark, state: StateFolder) -> None:
    deadline = time.monotonic() + _END_SECONDS
    while holder.is_running:
        if time.monotonic() > deadline:
            raise CliError(
                f"The system in {state.path} (process {holder.pid}) does not end; "
                f"see {state.logs / 'supervisor.log'}."
            )
        time.sleep(0.02)


def _read_all(descriptor: int, seconds: float) -> object:
    """Returns the JSON that comes out of a pipe before it closes; None if it never does."""
    deadline = time.monotonic() + seconds
    content = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(descriptor, 65_536)
            if not chunk:
                break
            content += chunk
    try:
        return json.loads(content)
    except ValueError:
        return None
