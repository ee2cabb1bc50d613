"""Processes of a supervisor that was killed: ended before anything new is started."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kongflow_cli.errors import CliError
from kongflow_cli.local.state_folder import ProcessMark, StateFolder
from kongflow_embedded.errors import EmbeddedServerError
from kongflow_embedded.processes import end_process

_SECONDS = 10.0
# The first one is an orderly end for every process of ours, fast for PostgreSQL.
_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


def end_leftovers(state: StateFolder, say: Callable[[str], None]) -> None:
    """Ends what an earlier system left behind in this folder; the caller holds its lock.

    Raises CliError when a process cannot be ended.
    """
    state.connection_file.unlink(missing_ok=True)
    left = state.leftovers()
    if left:
        say(f"ending what an earlier system left behind: {', '.join(left)}")
        with ThreadPoolExecutor(len(left)) as pool:
            list(pool.map(_end, left.values()))
    state.record_processes({})


def _end(mark: ProcessMark) -> None:
    try:
        end_process(mark.pid, _SIGNALS, timeout=_SECONDS)
    except PermissionError:
        raise CliError(
            f"Process {mark.pid} of an earlier system belongs to another user."
        ) from None
    except EmbeddedServerError as error:
        raise CliError(str(error)) from None
