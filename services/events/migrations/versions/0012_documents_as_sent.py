"""Payloads and contexts of events as the text that was sent.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _change_to("json")


def downgrade() -> None:
    _change_to("jsonb")


def _change_to(kind: str) -> None:
    # One statement, so that the table is written anew once. Servers of the release before go on
    # with either type: they read text, and what they write as jsonb is cast as it is assigned.
    op.execute(
        f"""
        ALTER TABLE events.event_records
            ALTER COLUMN payload DROP DEFAULT,
            ALTER COLUMN payload TYPE {kind} USING payload::{kind},
            ALTER COLUMN payload SET DEFAULT '{{}}',
            ALTER COLUMN context DROP DEFAULT,
            ALTER COLUMN context TYPE {kind} USING context::{kind},
            ALTER COLUMN context SET DEFAULT '{{}}'
        """
    )
