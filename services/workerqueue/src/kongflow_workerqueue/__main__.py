"""`python -m kongflow_workerqueue serve | worker | migrate`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_workerqueue.settings import WorkerQueueSettings

COMMANDS = ServiceCommands(
    service="workerqueue",
    settings=WorkerQueueSettings,
    schema="workerqueue",
    migrations=migrations_folder(__file__),
    loops={"serve": "kongflow_workerqueue.main:serve"},
    others={"worker": "kongflow_workerqueue.main:worker"},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
