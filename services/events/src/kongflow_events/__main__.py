"""`python -m kongflow_events serve | migrate`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_events.settings import EventsSettings

COMMANDS = ServiceCommands(
    service="events",
    settings=EventsSettings,
    schema="events",
    migrations=migrations_folder(__file__),
    loops={"serve": "kongflow_events.main:serve"},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
