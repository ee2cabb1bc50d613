"""The tables of jobs, as queries and the check of the migrations see them."""

from sqlalchemy import MetaData

SCHEMA = "jobs"
METADATA = MetaData(schema=SCHEMA)
