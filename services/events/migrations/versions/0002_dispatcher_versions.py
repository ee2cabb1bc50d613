"""The version of an environment's dispatchers, which every change of one of them raises.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE events.dispatcher_versions (
            environment_id uuid CONSTRAINT dispatcher_versions_pkey PRIMARY KEY,
            version bigint NOT NULL,
            complete_since bigint NOT NULL DEFAULT 0
        );
        ALTER TABLE events.event_dispatchers ADD COLUMN version bigint NOT NULL DEFAULT 0;
        CREATE INDEX event_dispatchers_environment_id_version_idx
            ON events.event_dispatchers (environment_id, version, id)
        """
    )
    # A trigger, because a change that nobody counts is an event that nobody delivers. The row of
    # the environment stays locked until the commit, so versions become visible in their order.
    op.execute(
        """
        CREATE FUNCTION events.count_dispatcher_change() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events.dispatcher_versions AS v (environment_id, version)
            VALUES (NEW.environment_id, 1)
            ON CONFLICT (environment_id) DO UPDATE SET version = v.version + 1
            RETURNING v.version INTO NEW.version;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER count_dispatcher_change BEFORE INSERT OR UPDATE
            ON events.event_dispatchers
            FOR EACH ROW EXECUTE FUNCTION events.count_dispatcher_change();
        CREATE FUNCTION events.count_dispatcher_deletion() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE events.dispatcher_versions
            SET version = version + 1, complete_since = version + 1
            WHERE environment_id = OLD.environment_id;
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER count_dispatcher_deletion AFTER DELETE
            ON events.event_dispatchers
            FOR EACH ROW EXECUTE FUNCTION events.count_dispatcher_deletion()
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER count_dispatcher_deletion ON events.event_dispatchers;
        DROP TRIGGER count_dispatcher_change ON events.event_dispatchers;
        DROP FUNCTION events.count_dispatcher_deletion();
        DROP FUNCTION events.count_dispatcher_change();
        ALTER TABLE events.event_dispatchers DROP COLUMN version;
        DROP TABLE events.dispatcher_versions
        """
    )
