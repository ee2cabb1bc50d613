"""The tables of endpoints, as queries and the check of the migrations see them."""

from sqlalchemy import MetaData

from kongflow_common.outbox.table import outbox_table

SCHEMA = "endpoints"
METADATA = MetaData(schema=SCHEMA)

OUTBOX = outbox_table(METADATA, SCHEMA)
