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
    "filters": (_OPERATE, "Try filters: on lines, a sample, or stored events."),
    "demo": (_RUN, "Register an example program, send it events, and show their ways."),
    "endpoints": (_OPERATE, "The programs that jobs run in, and what they hold."),
    "jobs": (_OPERATE, "See the jobs of programs, and run them."),
    "dispatchers": (_OPERATE, "Say which events start what."),
    "events": (_OPERATE, "Send events, and see what became of them."),
    "accounts": (_OPERATE, "Accounts that events are of."),
    "schemas": (_OPERATE, "Schemas that events are checked with."),
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
    """The sub-commands, of which only the one that is used is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, summary) in COMMANDS.items():
            self.commands[name] = LazyCommand(name, help=summary)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes them down in groups."""
        for heading in dict.fromkeys(heading for heading, _ in COMMANDS.values()):
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name, summary)
                        for name, (group, summary) in COMMANDS.items()
                        if group == heading
                    ]
                )


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
    # The first help stays quick: what draws the others loads for longer than all the rest.
    rich_markup_mode=None,
    # Tracebacks of ours would show local variables, keys among them.
    pretty_exceptions_enable=False,
)


@app.callback()
def kongflow() -> None:
    """KongFlow: run it on this machine, and operate it."""
