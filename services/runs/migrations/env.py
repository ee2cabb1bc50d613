"""Runs the migrations of runs."""

from kongflow_common.db.env import run_migrations
from kongflow_runs.adapters.tables import METADATA

run_migrations(METADATA)
