"""Where a call goes and in whose name, from options, environment variables and dev.json."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from uuid import UUID

from kongflow_cli.client.dev_system import DevSystem, find_dev_system
from kongflow_cli.client.exit_codes import NOT_ALLOWED, USAGE
from kongflow_cli.errors import CliError

_CREDENTIAL = re.compile(r"[!-~]{1,512}")
_TLS_SCHEME = "https://"


class Credential(Enum):
    """What a call shows; the value is the environment variable that may hold it."""

    API_KEY = "KONGFLOW_API_KEY"
    OPERATOR_TOKEN = "KONGFLOW_OPERATOR_TOKEN"


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What the user said about the connection; `target` is host:port or context=host:port,..."""

    state_dir: Path | None = None
    target: str | None = None
    environment: UUID | None = None
    timeout: float = 10.0
    """Seconds that one call may take."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One service, and who calls it."""

    context: str
    address: str
    tls: bool
    credential: str = field(repr=False)
    credential_source: str
    """Where the credential came from, for people."""
    environment: UUID | None
    timeout: float
    is_local: bool
    """Whether it is the development system's, which `kongflow up` starts."""


def resolve_connection(
    context: str,
    credential: Credential,
    options: ConnectionOptions,
    variables: Mapping[str, str],
    working_folder: Path,
) -> Connection:
    """Finds the service `context` and the credential to show it.

    The keys of dev.json are shown to the development system only: a target that is named needs
    them in the environment variables. Raises CliError saying what is missing.
    """
    system = None if options.target else find_dev_system(options.state_dir, working_folder)
    if system is not None:
        address, tls = system.address(context), False
    else:
        address, tls = _target_address(options.target or "", context)
    text, source = _credential(credential, system, variables)
    return Connection(
        context=context,
        address=address,
        tls=tls,
        credential=text,
        credential_source=source,
        environment=options.environment,
        timeout=options.timeout,
        is_local=system is not None,
    )


def _credential(
    credential: Credential, system: DevSystem | None, variables: Mapping[str, str]
) -> tuple[str, str]:
    text = variables.get(credential.value, "").strip()
    source = credential.value
    if not text and system is not None:
        text = system.api_key if credential is Credential.API_KEY else system.operator_token
        source = str(system.file)
    if not text:
        raise CliError(f"{credential.value} must be set to use --target.", NOT_ALLOWED)
    if _CREDENTIAL.fullmatch(text) is None:
        raise CliError(f"What {source} holds is not a key.", NOT_ALLOWED)
    return text, source


def _target_address(target: str, context: str) -> tuple[str, bool]:
    """Returns host:port of the context, and whether TLS is spoken there."""
    named = dict(part.split("=", 1) for part in target.split(",") if "=" in part)
    text = (named.get(context, "") if named else target).strip()
    if not text:
        raise CliError(f"--target {target} names no address of {context}.", USAGE)
    tls = text.startswith(_TLS_SCHEME)
    address = text.removeprefix(_TLS_SCHEME).rstrip("/")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "://" in address:
        raise CliError(
            f"--target {text} is not host:port, or https://host:port for a server with TLS.", USAGE
        )
    return address, tls
