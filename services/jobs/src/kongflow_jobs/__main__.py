"""`python -m kongflow_jobs serve | migrate`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_jobs.settings import JobsSettings

COMMANDS = ServiceCommands(
    service="jobs",
    settings=JobsSettings,
    schema="jobs",
    migrations=migrations_folder(__file__),
    loops={"serve": "kongflow_jobs.main:serve"},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
