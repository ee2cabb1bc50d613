"""The development system around the working folder, found as git finds a repository."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kongflow_cli.client.exit_codes import NO_ANSWER
from kongflow_cli.errors import CliError

_STATE_FOLDER = ".kongflow"
_CONNECTION_FILE = "dev.json"


@dataclass(frozen=True, slots=True)
class DevSystem:
    """What a running system wrote down for its clients."""

    file: Path
    api_key: str = field(repr=False)
    operator_token: str = field(repr=False)
    grpc: Mapping[str, str]
    """The client listener, host:port, of each context."""

    def address(self, context: str) -> str:
        """Returns where the context listens; raises CliError when it is not part of the system."""
        address = self.grpc.get(context)
        if address is None:
            raise CliError(f"{self.file} names no address of {context}.")
        return address


def find_dev_system(state_dir: Path | None, start: Path) -> DevSystem:
    """Returns the system of `state_dir`; without one, of the nearest `.kongflow` above `start`.

    Raises CliError when there is none, when it does not run, or when the folder that was found
    belongs to somebody else, who would be given the keys of this user's environment variables.
    """
    folder = state_dir.absolute() if state_dir is not None else _search(start)
    file = folder / _CONNECTION_FILE
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise CliError(
            f"The system in {folder} is not running; `kongflow up` starts it.", NO_ANSWER
        ) from None
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise CliError(f"{file} is not JSON; `kongflow up` writes it anew.") from None
    return _dev_system(file, content)


def _search(start: Path) -> Path:
    start = start.absolute()
    for parent in (start, *start.parents):
        folder = parent / _STATE_FOLDER
        try:
            owner = folder.stat().st_uid
        except OSError:
            # Not there, or not for this user's eyes: one further up may be.
            continue
        if folder.is_dir():
            if owner != os.geteuid():
                raise CliError(
                    f"{folder} belongs to another user; --state-dir {folder} uses it all the same."
                )
            return folder
    raise CliError(
        f"There is no {_STATE_FOLDER} folder in {start} or above it; `kongflow up` starts a "
        "system, --state-dir or --target names one.",
        NO_ANSWER,
    )


def _dev_system(file: Path, content: object) -> DevSystem:
    match content:
        case {"api_key": str(api_key), "operator_token": str(operator), "grpc": dict(addresses)}:
            return DevSystem(
                file=file,
                api_key=api_key,
                operator_token=operator,
                grpc={
                    str(context): address
                    for context, address in addresses.items()
                    if isinstance(address, str)
                },
            )
        case _:
            raise CliError(f"{file} is not what `kongflow up` writes.")
