"""`python -m kongflow_tenancy serve | migrate | bootstrap`."""

import sys

from kongflow_common.command_line import ServiceCommands, migrations_folder
from kongflow_tenancy.settings import TenancySettings

COMMANDS = ServiceCommands(
    service="tenancy",
    settings=TenancySettings,
    schema="tenancy",
    migrations=migrations_folder(__file__),
    loops={"serve": "kongflow_tenancy.main:serve"},
    others={"bootstrap": "kongflow_tenancy.main:run_bootstrap"},
)

if __name__ == "__main__":
    sys.exit(COMMANDS.run(sys.argv[1:]))
