"""`kongflow down`: ends the development system."""

import typer

from kongflow_cli.local.options import StateDir

app = typer.Typer(add_completion=False)


@app.command()
def down(state_dir: StateDir = None) -> None:
    """End the system of this state folder, and wait for it."""
    from kongflow_cli.local.background import end_system  # noqa: PLC0415
    from kongflow_cli.local.state_folder import StateFolder  # noqa: PLC0415

    print(end_system(StateFolder.at(state_dir)))
