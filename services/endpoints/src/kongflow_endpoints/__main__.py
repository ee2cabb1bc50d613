"""`python -m kongflow_endpoints serve | migrate`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_endpoints.settings import EndpointsSettings

COMMANDS = ServiceCommands(
    service="endpoints",
    settings=EndpointsSettings,
    schema="endpoints",
    migrations=migrations_folder(__file__),
    loops={"serve": "kongflow_endpoints.main:serve"},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
