"""`kongflow filters`: filters on this machine, without a server."""

import typer

app = typer.Typer(help="Try filters, without a server.", no_args_is_help=True, add_completion=False)


@app.callback()
def filters() -> None:
    """Try filters, without a server."""


@app.command()
def match() -> None:
    """Say for each line of the standard input whether its filter takes its payload.

    A line is {"payload": ..., "filter": ...}: the payload of an event, and the payload filter as a
    job declares it. Each is answered by one line: true, false, or invalid when the filter is not a
    filter. A payload that is left out or null counts as {}, and so does a filter.
    """
    import sys  # noqa: PLC0415

    from kongflow_cli.local.filter_lines import verdicts  # noqa: PLC0415

    for verdict in verdicts(sys.stdin.buffer):
        sys.stdout.write(verdict + "\n")
