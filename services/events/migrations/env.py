from kongflow_common.db.env import run_migrations
from kongflow_events.adapters.tables import METADATA

run_migrations(METADATA)
