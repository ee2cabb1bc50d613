"""`kongflow up`: starts the development system."""

from typing import Annotated

import typer

from kongflow_cli.local.options import StateDir

app = typer.Typer(add_completion=False)


@app.command()
def up(
    state_dir: StateDir = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the system is ready.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds until the system must be ready.")
    ] = 180.0,
    report_to: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Start PostgreSQL, Valkey and every service on this machine; Ctrl-C ends them.

    Data stays in the state folder. DATABASE_URL and REDIS_URL name servers to use instead.
    """
    # Help and mistakes in the options should not wait for these.
    from kongflow_cli.local.background import Report, start_in_background  # noqa: PLC0415
    from kongflow_cli.local.development_system import UpOptions, run_system  # noqa: PLC0415
    from kongflow_cli.local.state_folder import StateFolder  # noqa: PLC0415

    state = StateFolder.at(state_dir)
    if detach:
        start_in_background(state, timeout)
    elif report_to >= 0:
        with Report(report_to) as report:
            run_system(state, UpOptions(timeout, show_processes=False), on_ready=report.ready)
    else:
        run_system(state, UpOptions(timeout), on_ready=lambda line: None)
