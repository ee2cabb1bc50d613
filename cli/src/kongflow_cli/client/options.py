"""The option groups of commands that call a service: connection, output and paging."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from kongflow_cli.client.connection import (
    Connection,
    ConnectionOptions,
    Credential,
    resolve_connection,
)
from kongflow_cli.client.option_groups import OptionGroup
from kongflow_cli.client.session import Session, open_session
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.output.printer import Printer

_CONNECTION = "Connection"
_OUTPUT = "Output"
_PAGES = "Pages"

StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="KONGFLOW_STATE_DIR",
        help="State folder of the system.",
        show_default="the nearest .kongflow, from here upwards",
        file_okay=False,
        rich_help_panel=_CONNECTION,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        envvar="KONGFLOW_TARGET",
        metavar="ADDRESS",
        help="host:port, https://host:port, or CONTEXT=ADDRESS,...: another system, whose keys "
        "are in the environment variables.",
        show_default=False,
        rich_help_panel=_CONNECTION,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.1,
        max=300.0,
        help="Seconds that a call may take.",
        rich_help_panel=_CONNECTION,
    ),
]
WatchTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0.1,
        help="Seconds after which it ends, with exit code 0.",
        show_default="until Ctrl-C",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON.", rich_help_panel=_OUTPUT),
]
Wide = Annotated[
    bool,
    typer.Option("--wide", help="More columns, whole times.", rich_help_panel=_OUTPUT),
]


def in_environment(context: str) -> OptionGroup:
    """A session with the API key, or with the operator token in the environment that is named."""

    @contextmanager
    def session(
        environment: Annotated[
            UUID | None,
            typer.Option(
                "--environment",
                help="Act in this environment with the operator token, not with the API key.",
                show_default=False,
                rich_help_panel=_CONNECTION,
            ),
        ] = None,
        state_dir: StateDir = None,
        target: Target = None,
        timeout: Timeout = 10.0,
        as_json: AsJson = False,
        wide: Wide = False,
    ) -> Iterator[Session]:
        credential = Credential.OPERATOR_TOKEN if environment else Credential.API_KEY
        options = ConnectionOptions(state_dir, target, environment, timeout)
        with _session(context, credential, options, as_json, wide) as opened:
            yield opened

    return session


def as_operator(context: str) -> OptionGroup:
    """A session with the operator token, above all environments."""

    @contextmanager
    def session(
        state_dir: StateDir = None,
        target: Target = None,
        timeout: Timeout = 10.0,
        as_json: AsJson = False,
        wide: Wide = False,
    ) -> Iterator[Session]:
        options = ConnectionOptions(state_dir, target, None, timeout)
        with _session(context, Credential.OPERATOR_TOKEN, options, as_json, wide) as opened:
            yield opened

    return session


def as_operator_of_any_environment(context: str) -> OptionGroup:
    """A session with the operator token, above all environments or in one."""

    @contextmanager
    def session(
        environment: Annotated[
            UUID | None,
            typer.Option(
                "--environment",
                help="Only what belongs to this environment.",
                show_default=False,
                rich_help_panel=_CONNECTION,
            ),
        ] = None,
        state_dir: StateDir = None,
        target: Target = None,
        timeout: Timeout = 10.0,
        as_json: AsJson = False,
        wide: Wide = False,
    ) -> Iterator[Session]:
        options = ConnectionOptions(state_dir, target, environment, timeout)
        with _session(context, Credential.OPERATOR_TOKEN, options, as_json, wide) as opened:
            yield opened

    return session


@contextmanager
def _session(
    context: str, credential: Credential, options: ConnectionOptions, as_json: bool, wide: bool
) -> Iterator[Session]:
    def connection_to(context: str) -> Connection:
        return resolve_connection(context, credential, options, os.environ, Path.cwd())

    printer = Printer(as_json=as_json, wide=wide, clock=lambda: datetime.now(UTC))
    with open_session(connection_to(context), printer, connection_to) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How much of a list is wanted."""

    limit: int | None
    """At most so many items; None for all."""
    page_token: str
    filter: str
    """The user's own filter, as AIP-160 writes it."""


@contextmanager
def pages(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="At most so many.", rich_help_panel=_PAGES)
    ] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="Every one there is.", rich_help_panel=_PAGES)
    ] = False,
    page_token: Annotated[
        str,
        typer.Option(
            "--page-token",
            help="Go on where the list before ended.",
            show_default=False,
            rich_help_panel=_PAGES,
        ),
    ] = "",
) -> Iterator[PageOptions]:
    """Options of a list that takes no filter."""
    yield PageOptions(None if everything else limit, page_token, "")


@contextmanager
def filtered_pages(
    filter_text: Annotated[
        str | None,
        typer.Option(
            "--filter",
            callback=not_empty,
            metavar="AIP-160",
            help="Only what this expression says, beside the options above.",
            show_default=False,
            rich_help_panel=_PAGES,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="At most so many.", rich_help_panel=_PAGES)
    ] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="Every one there is.", rich_help_panel=_PAGES)
    ] = False,
    page_token: Annotated[
        str,
        typer.Option(
            "--page-token",
            help="Go on where the list before ended.",
            show_default=False,
            rich_help_panel=_PAGES,
        ),
    ] = "",
) -> Iterator[PageOptions]:
    """Options of a list that takes a filter."""
    yield PageOptions(None if everything else limit, page_token, filter_text or "")
