"""The trigger that keeps `updated_at`, for use in migrations.

What a released migration calls must not change: a new form gets a new name.
"""

from alembic import op

__all__ = ["add_updated_at_trigger", "create_updated_at_function"]


def create_updated_at_function(schema: str) -> None:
    """Create `update_updated_at_column()` in `schema`; once per context."""
    op.execute(
        f"""
        CREATE FUNCTION {schema}.update_updated_at_column() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            NEW.updated_at = now();
            RETURN NEW;
        END
        $$
        """
    )


def add_updated_at_trigger(schema: str, table: str) -> None:
    """Have `updated_at` of `table` set at every update."""
    op.execute(
        f"""
        CREATE TRIGGER update_{table}_updated_at BEFORE UPDATE ON {schema}.{table}
        FOR EACH ROW EXECUTE FUNCTION {schema}.update_updated_at_column()
        """
    )
