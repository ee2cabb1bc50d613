"""`kongflow reset`: empties the development system's data."""

from typing import Annotated

import typer

from kongflow_cli.local.options import StateDir

app = typer.Typer(add_completion=False)


@app.command()
def reset(
    state_dir: StateDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Empty the data of a stopped system; keys and ports stay the same.

    Refused where DATABASE_URL or REDIS_URL name servers of your own.
    """
    import os  # noqa: PLC0415

    from kongflow_cli.local.reset import check_may_reset, empty_data  # noqa: PLC0415
    from kongflow_cli.local.state_folder import StateFolder  # noqa: PLC0415

    state = StateFolder.at(state_dir)
    check_may_reset(state, os.environ)
    if not yes and not typer.confirm(f"Delete all data in {state.path}?", default=False):
        print("Nothing was deleted.")
        raise typer.Exit(1)
    empty_data(state)
    print(f"The data in {state.path} is empty.")
