"""Options that the commands for the local system share."""

from pathlib import Path
from typing import Annotated

import typer

StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="KONGFLOW_STATE_DIR",
        help="Folder of the system's data, keys and logs.  [default: .kongflow]",
        show_default=False,
        file_okay=False,
    ),
]
