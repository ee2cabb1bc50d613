"""The `kongflow` command: its sub-commands, each loaded when it is asked for."""

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_RUN = "This machine"
_OPERATE = "A running system"

# A module per command or noun in kongflow_cli.commands, with a Typer called `app`. What it does
# is said here as well, because loading all of them for the first help would take a second.
COMMANDS = {
    "up": (
        _RUN,
        "Start PostgreSQL, Valkey and every service on this machine; Ctrl-C ends them.",
    ),
    "down": (_RUN, "End the system of this state folder, and wait for it."),
    "reset": (_RUN, "Empty the data of a stopped system; keys and ports stay the same."),
    "dispatchers": (_OPERATE, "Say which events start what."),
    "events": (_OPERATE, "Send events, and see what became of them."),
    "runs": (_OPERATE, "See the runs of jobs."),
    "queue": (_OPERATE, "See the worker queue, and step in."),
    "orgs": (_OPERATE, "Organizations, which own projects."),
    "projects": (_OPERATE, "Projects, which own environments."),
    "envs": (_OPERATE, "Environments, where events and runs live."),
    "keys": (_OPERATE, "Keys, which open an environment."),
}


class LazyCommand(TyperCommand):
    """Stands for a sub-command until that is really used."""

    # The context's class is typer's private copy of click's, or click's own, by version.
    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """Loads the command; from here on it takes this one's place."""
        return load_command(str(self.name)).make_context(info_name, args, parent=parent, **extra)


class LazyCommands(TyperGroup):
    """Sub-commands by name; only the module of the one that is used is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names in the order in which help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the sub-command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        panel, summary = COMMANDS[cmd_name]
        return LazyCommand(cmd_name, help=summary, rich_help_panel=panel)


def load_command(name: str) -> Any:
    """Imports a sub-command."""
    module = importlib.import_module(f"kongflow_cli.commands.{name}")
    command = typer.main.get_command(module.app)
    command.name = name
    return command


app = typer.Typer(
    name="kongflow",
    cls=LazyCommands,
    no_args_is_help=True,
    # Tracebacks of ours would show local variables, keys among them.
    pretty_exceptions_enable=False,
)


@app.callback()
def kongflow() -> None:
    """KongFlow: run it on this machine, and operate it."""
