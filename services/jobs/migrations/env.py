"""Runs the migrations of jobs."""

from kongflow_common.db.env import run_migrations
from kongflow_jobs.adapters.tables import METADATA

run_migrations(METADATA)
