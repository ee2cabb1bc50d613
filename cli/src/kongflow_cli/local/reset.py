"""Emptying a system's data."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from kongflow_cli.errors import CliError
from kongflow_cli.local.leftovers import end_leftovers
from kongflow_cli.local.outside_servers import remembered_names
from kongflow_cli.local.state_folder import StateFolder


def check_may_reset(state: StateFolder, environment: Mapping[str, str]) -> None:
    """Raises CliError when there is nothing to empty, a system runs, or data is elsewhere."""
    given = [name for name in ("DATABASE_URL", "REDIS_URL") if environment.get(name)]
    if given:
        raise CliError(f"{' and '.join(given)} is set: reset never touches a server of yours.")
    used = remembered_names(state.outside_file)
    if used:
        raise CliError(
            f"The system in {state.path} was last started with {' and '.join(used)}: "
            "reset never touches a server of yours."
        )
    holder = state.supervisor()
    if holder is not None:
        raise CliError(
            f"A system runs in {state.path} (process {holder.pid}); end it first: kongflow down."
        )
    if not state.is_system:
        raise CliError(f"There is no system in {state.path}.")


def empty_data(state: StateFolder) -> None:
    """Deletes the data of a stopped system; raises CliError if that fails or one was started."""
    with state.locked():
        end_leftovers(state, lambda text: None)
        state.prepared_file.unlink(missing_ok=True)
        for folder in (state.postgres, state.valkey, state.logs):
            _delete(folder)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CliError(f"{error.filename or folder} cannot be deleted: {error.strerror}.") from None
