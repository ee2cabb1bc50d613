"""Runs the worker queue's migrations under Alembic."""

from kongflow_common.db.env import run_migrations
from kongflow_workerqueue.adapters.tables import METADATA

run_migrations(METADATA)
