"""The `kongflow` command: its sub-commands, each loaded when it is asked for."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

# A module per command or noun in kongflow_cli.commands, with a Typer called `app`.
_COMMANDS = ("up", "down", "reset")


class LazyCommands(TyperGroup):
    """Sub-commands by name; only the module of the one that is used is imported."""

    # The context's class is typer's private copy of click's, or click's own, by version.
    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names in the order in which help shows them."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the sub-command, or None for an unknown name."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"kongflow_cli.commands.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="kongflow",
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks of ours would show local variables, keys among them.
    pretty_exceptions_enable=False,
)


@app.callback()
def kongflow() -> None:
    """KongFlow: run it on this machine, and operate it."""
