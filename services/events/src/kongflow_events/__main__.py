"""`python -m kongflow_events serve | migrate`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_events.main import SERVICE, serve
from kongflow_events.settings import EventsSettings

COMMANDS = ServiceCommands(
    service=SERVICE,
    settings=EventsSettings,
    schema=SERVICE,
    migrations=migrations_folder(__file__),
    loops={"serve": serve},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
