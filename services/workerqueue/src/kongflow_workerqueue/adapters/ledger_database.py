"""Opens the worker queue's database with the plans that the ledger's statements need."""

from contextlib import AbstractAsyncContextManager

from kongflow_common.db.engine import Database

# The ledger's statements take few rows out of a large table by id or along an index. Their plans
# are made once per connection, and often while the table is still empty: without this the planner
# then finds it cheapest to read the whole table, or a whole partial index, and goes on doing so
# when it holds a million rows, until autovacuum has looked at the table.
_INDEXES_ONLY = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
}


def open_ledger_database(
    url: str, *, pool_size: int, application_name: str
) -> AbstractAsyncContextManager[Database]:
    """Open the database at `url` for the length of the block, lazily."""
    return Database.connect(
        url,
        pool_size=pool_size,
        application_name=application_name,
        hot_settings=_INDEXES_ONLY,
    )
