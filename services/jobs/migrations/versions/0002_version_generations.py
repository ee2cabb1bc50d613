"""Which index spoke last of a version, also of one that is not there, and of a shared limit.

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
        CREATE TABLE jobs.version_generations (
            environment_id uuid NOT NULL,
            slug text NOT NULL,
            version text NOT NULL,
            generation bigint NOT NULL,
            CONSTRAINT version_generations_pkey PRIMARY KEY (environment_id, slug, version)
        )
        """
    )
    op.execute(
        """
        INSERT INTO jobs.version_generations (environment_id, slug, version, generation)
        SELECT v.environment_id, j.slug, v.version, v.generation
        FROM jobs.job_versions v JOIN jobs.jobs j ON j.id = v.job_id
        """
    )
    op.execute("ALTER TABLE jobs.job_versions DROP COLUMN generation")
    op.execute(
        "ALTER TABLE jobs.concurrency_limit_groups ADD COLUMN generation bigint NOT NULL DEFAULT 0"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE jobs.concurrency_limit_groups DROP COLUMN generation")
    op.execute("ALTER TABLE jobs.job_versions ADD COLUMN generation bigint NOT NULL DEFAULT 0")
    op.execute(
        """
        UPDATE jobs.job_versions v SET generation = g.generation
        FROM jobs.version_generations g, jobs.jobs j
        WHERE j.id = v.job_id AND g.environment_id = v.environment_id AND g.slug = j.slug
          AND g.version = v.version
        """
    )
    op.execute("ALTER TABLE jobs.job_versions ALTER COLUMN generation DROP DEFAULT")
    op.execute("DROP TABLE jobs.version_generations")
