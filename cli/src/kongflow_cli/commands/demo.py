"""`kongflow demo`: an example program, six events, and what became of each."""

from pathlib import Path
from typing import Annotated

import typer

from kongflow_cli.local.options import StateDir

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    state_dir: StateDir = None,
    program: Annotated[
        Path,
        typer.Option(help="The example program; it takes --port and prints where it listens."),
    ] = Path("examples/python-endpoint/endpoint.py"),
) -> None:
    """Register an example program, send it events, and show their ways.

    Uses the system of the state folder; starts it if it does not run, and ends it then.
    """
    from kongflow_cli.local.demo import run_demo  # noqa: PLC0415
    from kongflow_cli.local.state_folder import StateFolder  # noqa: PLC0415

    run_demo(StateFolder.at(state_dir), program)
