"""The option of commands that step in: why."""

from typing import Annotated

import typer

Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why, for the audit trail.", show_default=False)
]
