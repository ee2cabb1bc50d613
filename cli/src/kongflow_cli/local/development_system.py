"""`kongflow up`: one development system in one state folder, from the lock to the last process."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from kongflow_cli.errors import CliError
from kongflow_cli.local.console import Console
from kongflow_cli.local.leftovers import end_leftovers
from kongflow_cli.local.log_lines import LineStyle
from kongflow_cli.local.output import OutputBoard
from kongflow_cli.local.outside_servers import OutsideServers
from kongflow_cli.local.port_book import choose_ports
from kongflow_cli.local.secret_file import load_or_make
from kongflow_cli.local.state_folder import StateFolder
from kongflow_cli.local.supervisor import Supervisor, SystemPlan
from kongflow_cli.local.system_plan import CONTEXTS, PORT_NAMES, PlanInputs, plan_system
from kongflow_embedded.errors import EmbeddedServerError

_NAME_WIDTH = len("workerqueue")


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How the system is shown and how long it may take."""

    ready_seconds: float
    show_processes: bool = True
    """False: only the supervisor's own lines; the processes' are in the log files."""


def run_system(
    state: StateFolder,
    options: UpOptions,
    *,
    on_ready: Callable[[str], None],
    plan: Callable[[StateFolder], SystemPlan] | None = None,
) -> None:
    """Runs a system until a signal asks for its end.

    `plan` says what it consists of; the real system if left out. Raises CliError when the system
    cannot be started, or when one runs in this folder already.
    """
    state.make()
    console = Console(sys.stdout.fileno())
    try:
        with state.locked():
            style = LineStyle(name_width=_NAME_WIDTH, colour=_wants_colour())
            board = OutputBoard(state.logs, console, style, show_processes=options.show_processes)
            try:
                end_leftovers(state, board.say)
                asyncio.run(
                    _supervise((plan or _real_plan)(state), state, board, options, on_ready)
                )
            finally:
                board.close()
    except EmbeddedServerError as error:
        raise CliError(str(error)) from None
    finally:
        console.close()


async def _supervise(
    plan: SystemPlan,
    state: StateFolder,
    board: OutputBoard,
    options: UpOptions,
    on_ready: Callable[[str], None],
) -> None:
    supervisor = Supervisor(
        plan, state, board, ready_seconds=options.ready_seconds, on_ready=on_ready
    )
    await supervisor.run()


def _real_plan(state: StateFolder) -> SystemPlan:
    outside = OutsideServers.named_in(os.environ)
    outside.check_reachable()
    outside.remember(state.outside_file)
    return plan_system(
        PlanInputs(
            state=state,
            secrets=load_or_make(state.secret_file, CONTEXTS, data=state.postgres),
            ports=choose_ports(state.ports_file, PORT_NAMES),
            outside=outside,
            environment=os.environ,
        )
    )


def _wants_colour() -> bool:
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
