"""Runs the migrations of endpoints."""

from kongflow_common.db.env import run_migrations
from kongflow_endpoints.adapters.tables import METADATA

run_migrations(METADATA)
