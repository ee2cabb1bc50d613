"""Runs the migrations of tenancy."""

from kongflow_common.db.env import run_migrations
from kongflow_tenancy.adapters.tables import METADATA

run_migrations(METADATA)
