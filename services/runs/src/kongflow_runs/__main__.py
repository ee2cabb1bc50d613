"""`python -m kongflow_runs serve | migrate`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_runs.settings import RunsSettings

COMMANDS = ServiceCommands(
    service="runs",
    settings=RunsSettings,
    schema="runs",
    migrations=migrations_folder(__file__),
    loops={"serve": "kongflow_runs.main:serve"},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
