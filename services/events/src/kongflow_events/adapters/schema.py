"""The schema `events`, which all tables of this context are in."""

from sqlalchemy import MetaData

__all__ = ["METADATA", "SCHEMA"]

SCHEMA = "events"
METADATA = MetaData(schema=SCHEMA)
