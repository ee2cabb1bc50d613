"""Services of the user whose methods the local worker queue is to call, as the settings name them.

The same settings as the worker queue's own: KONGFLOW_TASK_TARGETS says where each listens,
KONGFLOW_TASK_DESCRIPTOR_SETS which methods it has. Each gets an identity, written to a file for it
to read: with it the service puts jobs into the queue, and knows the queue's calls from others.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kongflow_cli.errors import CliError
from kongflow_cli.local.secret_file import Secrets
from kongflow_cli.local.state_folder import StateFolder, write_private

TARGETS = "KONGFLOW_TASK_TARGETS"
DESCRIPTOR_SETS = "KONGFLOW_TASK_DESCRIPTOR_SETS"
_CALLER = "workerqueue"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ADDRESS = re.compile(r"[^\s:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class ForeignTarget:
    """A service that is not one of KongFlow's own."""

    name: str
    address: str
    descriptor_set: Path


def foreign_targets(
    environment: Mapping[str, str], own_names: Collection[str]
) -> tuple[ForeignTarget, ...]:
    """Returns the services that the environment names, in the order of their names.

    Paths are taken from the working folder. Raises CliError for one that could not be joined.
    """
    addresses = _object(environment, TARGETS)
    sets = _object(environment, DESCRIPTOR_SETS)
    for name in addresses.keys() ^ sets.keys():
        missing = DESCRIPTOR_SETS if name in addresses else TARGETS
        raise _refused(missing, f"does not name {name}: a target has an address and descriptors")
    return tuple(
        _target(name, addresses[name], Path(sets[name]).absolute(), own_names)
        for name in sorted(addresses)
    )


def write_identities(
    targets: Sequence[ForeignTarget], state: StateFolder, secrets: Secrets, enqueue_address: str
) -> None:
    """Writes a file for each service that only its own user can read: who it is, whom it trusts."""
    folder = state.targets
    folder.mkdir(mode=0o700, exist_ok=True)
    for target in targets:
        identity = {
            "service": target.name,
            "service_key": secrets.service_keys[target.name].private_key,
            "listen": target.address,
            "workerqueue": enqueue_address,
            "workerqueue_public_key": secrets.service_keys[_CALLER].public_key,
        }
        write_private(folder / f"{target.name}.json", json.dumps(identity, indent=2) + "\n")


def _target(name: str, address: str, path: Path, own_names: Collection[str]) -> ForeignTarget:
    if not _NAME.fullmatch(name):
        raise _refused(TARGETS, f"names {name!r}: a name is of lower-case letters, digits, - and _")
    if name in own_names:
        raise _refused(TARGETS, f"names {name}, which is a service of KongFlow's own")
    if not _ADDRESS.fullmatch(address):
        raise _refused(TARGETS, f"says that {name} listens on {address!r}; expected host:port")
    if not path.is_file():
        raise _refused(DESCRIPTOR_SETS, f"names {path} for {name}, where no file is")
    return ForeignTarget(name, address, path)


def _object(environment: Mapping[str, str], variable: str) -> dict[str, str]:
    text = environment.get(variable, "").strip()
    try:
        content = json.loads(text or "{}")
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(each, str) for each in content.values()):
        raise _refused(variable, 'is not a JSON object of names and texts, {"name": "..."}')
    return content


def _refused(variable: str, what: str) -> CliError:
    return CliError(f"{variable} {what}.", exit_code=2)
