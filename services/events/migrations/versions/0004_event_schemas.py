"""Schemas of events, their version per environment, and what the check of an event showed.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE events.event_schemas (
            id uuid CONSTRAINT event_schemas_pkey PRIMARY KEY,
            environment_id uuid NOT NULL,
            event_name text NOT NULL
                CONSTRAINT event_schemas_event_name_check
                CHECK (char_length(event_name) BETWEEN 1 AND 512),
            version integer NOT NULL,
            definition text NOT NULL,
            mode text NOT NULL
                CONSTRAINT event_schemas_mode_check CHECK (mode IN ('REJECT', 'WARN', 'OFF')),
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            deleted_at timestamptz,
            CONSTRAINT event_schemas_environment_id_event_name_version_key
                UNIQUE (environment_id, event_name, version)
        );
        CREATE INDEX event_schemas_environment_id_id_idx
            ON events.event_schemas (environment_id, id) WHERE deleted_at IS NULL;
        ALTER TABLE events.dispatcher_versions
            ADD COLUMN schema_version bigint NOT NULL DEFAULT 0;
        ALTER TABLE events.event_records ADD COLUMN schema_check jsonb
        """
    )
    # A trigger, because a change that nobody counts is an event that nobody checks. The row of
    # the environment stays locked until the commit, so that registrations go one after the other.
    op.execute(
        """
        CREATE FUNCTION events.count_schema_change() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events.dispatcher_versions AS v (environment_id, version, schema_version)
            VALUES (coalesce(NEW.environment_id, OLD.environment_id), 0, 1)
            ON CONFLICT (environment_id) DO UPDATE SET schema_version = v.schema_version + 1;
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER count_schema_change AFTER INSERT OR UPDATE OR DELETE
            ON events.event_schemas
            FOR EACH ROW EXECUTE FUNCTION events.count_schema_change()
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE events.event_schemas;
        DROP FUNCTION events.count_schema_change();
        ALTER TABLE events.dispatcher_versions DROP COLUMN schema_version;
        ALTER TABLE events.event_records DROP COLUMN schema_check
        """
    )
