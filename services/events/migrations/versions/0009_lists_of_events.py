"""Indexes that fit the lists of events, in place of two that nothing reads.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# What each is made of, by its name.
_NEW = {
    "event_records_environment_id_name_id_idx": "(environment_id, name, id)",
    "event_records_environment_id_unprocessed_id_idx": (
        # The second half is true where the first is: so that lists alone are read along it.
        "(environment_id, id) WHERE processed_at IS NULL AND delivered_at IS NULL"
    ),
    "event_records_environment_id_test_id_idx": "(environment_id, id) WHERE is_test",
    "event_records_created_at_brin_idx": "USING brin (created_at) WITH (autosummarize = on)",
}
_OLD = {
    "event_records_deliver_at_idx": "(deliver_at) WHERE delivered_at IS NULL",
    "event_records_created_at_idx": "(created_at)",
}


def upgrade() -> None:
    _exchange(_NEW, _OLD)


def downgrade() -> None:
    _exchange(_OLD, _NEW)


def _exchange(made: dict[str, str], dropped: dict[str, str]) -> None:
    with op.get_context().autocommit_block():
        for name, definition in made.items():
            # One that a broken try left behind goes first.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS events.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON events.event_records {definition}")
        for name in dropped:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS events.{name}")
