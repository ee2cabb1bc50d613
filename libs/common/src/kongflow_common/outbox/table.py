"""The outbox table: the same in every context's schema."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

__all__ = ["outbox_table"]


def outbox_table(metadata: MetaData, schema: str) -> Table:
    """Declare `schema`.outbox.

    A row is there from the commit of what it belongs to until the worker queue has taken it;
    one that the worker queue refused stays, with the error in `refused`.
    """
    table = Table(
        "outbox",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("operation", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("args", JSONB, nullable=False),
        Column("queue", Text, nullable=False, server_default=text("''")),
        Column("job_key", Text),
        Column("job_key_mode", Text, nullable=False, server_default=text("'replace'")),
        Column("uniqueness", JSONB),
        Column("generation", BigInteger, nullable=False, server_default=text("0")),
        Column("run_at", DateTime(timezone=True)),
        Column("priority", SmallInteger, nullable=False, server_default=text("0")),
        Column("max_attempts", Integer, nullable=False, server_default=text("0")),
        Column("options", JSONB, nullable=False, server_default=text("'{}'")),
        Column("environment_id", Uuid),
        Column("traceparent", Text, nullable=False, server_default=text("''")),
        Column(
            "created_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("clock_timestamp()"),
        ),
        Column("claimed_until", DateTime(timezone=True)),
        Column("claimed_by", Text),
        Column("refused", JSONB),
        CheckConstraint("operation IN ('enqueue', 'remove')", name="outbox_operation_check"),
        CheckConstraint(
            "job_key_mode IN ('replace', 'preserve_run_time', 'keep_first')",
            name="outbox_job_key_mode_check",
        ),
        schema=schema,
    )
    # Claims look for an earlier message with the same key. Neither index holds a column that a
    # claim changes, so that claiming stays a heap-only update.
    Index(
        "outbox_job_key_idx",
        table.c.job_key,
        table.c.id,
        postgresql_where=table.c.job_key.is_not(None),
    )
    Index("outbox_refused_idx", table.c.id, postgresql_where=table.c.refused.is_not(None))
    return table
