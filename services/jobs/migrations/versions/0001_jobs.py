"""Jobs, their versions, aliases, queues, examples and integrations.

Revision ID: 0001
Revises:
"""

from alembic import op

from kongflow_common.db.triggers import add_updated_at_trigger, create_updated_at_function

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "jobs",
    "job_queues",
    "concurrency_limit_groups",
    "job_versions",
    "job_aliases",
    "event_examples",
    "integrations",
    "job_integrations",
    "job_dispatchers",
    "test_requests",
)
KEEP_UPDATED_AT = ("jobs", "job_queues", "concurrency_limit_groups", "job_versions")


def upgrade() -> None:
    create_updated_at_function("jobs")
    create_jobs()
    create_limits()
    create_versions()
    create_parts_of_versions()
    create_bookkeeping()
    for table in KEEP_UPDATED_AT:
        add_updated_at_trigger("jobs", table)


def create_jobs() -> None:
    op.execute(
        """
        CREATE TABLE jobs.jobs (
            id uuid CONSTRAINT jobs_pkey PRIMARY KEY,
            slug text NOT NULL
                CONSTRAINT jobs_slug_check CHECK (char_length(slug) BETWEEN 1 AND 512),
            title text NOT NULL,
            internal boolean NOT NULL DEFAULT false,
            organization_id uuid NOT NULL,
            project_id uuid NOT NULL,
            generation bigint NOT NULL,
            deleted_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT jobs_project_id_slug_key UNIQUE (project_id, slug)
        )
        """
    )
    op.execute("CREATE INDEX jobs_project_id_id_idx ON jobs.jobs (project_id, id)")


def create_limits() -> None:
    op.execute(
        """
        CREATE TABLE jobs.job_queues (
            id uuid CONSTRAINT job_queues_pkey PRIMARY KEY,
            name text NOT NULL,
            environment_id uuid NOT NULL,
            max_jobs integer NOT NULL DEFAULT 100
                CONSTRAINT job_queues_max_jobs_check CHECK (max_jobs > 0),
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT job_queues_environment_id_name_key UNIQUE (environment_id, name)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE jobs.concurrency_limit_groups (
            id uuid CONSTRAINT concurrency_limit_groups_pkey PRIMARY KEY,
            name text NOT NULL,
            concurrency_limit integer NOT NULL
                CONSTRAINT concurrency_limit_groups_limit_check CHECK (concurrency_limit > 0),
            environment_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT concurrency_limit_groups_environment_id_name_key
                UNIQUE (environment_id, name)
        )
        """
    )


def create_versions() -> None:
    op.execute(
        """
        CREATE TABLE jobs.job_versions (
            id uuid CONSTRAINT job_versions_pkey PRIMARY KEY,
            version text NOT NULL,
            status text NOT NULL
                CONSTRAINT job_versions_status_check CHECK (status IN ('ACTIVE', 'DISABLED')),
            trigger jsonb NOT NULL,
            event_specification jsonb NOT NULL,
            properties jsonb,
            trigger_link text,
            trigger_help jsonb,
            job_id uuid NOT NULL
                CONSTRAINT job_versions_job_id_fkey REFERENCES jobs.jobs ON DELETE CASCADE,
            endpoint_id uuid NOT NULL,
            environment_id uuid NOT NULL,
            organization_id uuid NOT NULL,
            project_id uuid NOT NULL,
            queue_id uuid NOT NULL
                CONSTRAINT job_versions_queue_id_fkey REFERENCES jobs.job_queues,
            start_position text NOT NULL DEFAULT 'LATEST'
                CONSTRAINT job_versions_start_position_check
                CHECK (start_position IN ('INITIAL', 'LATEST')),
            preprocess_runs boolean NOT NULL DEFAULT false,
            concurrency_limit integer,
            concurrency_limit_group_id uuid
                CONSTRAINT job_versions_concurrency_limit_group_id_fkey
                REFERENCES jobs.concurrency_limit_groups ON DELETE SET NULL,
            generation bigint NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT job_versions_job_id_version_environment_id_key
                UNIQUE (job_id, version, environment_id)
        )
        """
    )
    op.execute(
        "CREATE INDEX job_versions_environment_id_endpoint_id_idx"
        " ON jobs.job_versions (environment_id, endpoint_id)"
    )
    op.execute("CREATE INDEX job_versions_queue_id_idx ON jobs.job_versions (queue_id)")


def create_parts_of_versions() -> None:
    op.execute(
        """
        CREATE TABLE jobs.job_aliases (
            id uuid CONSTRAINT job_aliases_pkey PRIMARY KEY,
            name text NOT NULL DEFAULT 'latest',
            value text NOT NULL,
            version_id uuid NOT NULL
                CONSTRAINT job_aliases_version_id_fkey
                REFERENCES jobs.job_versions ON DELETE CASCADE,
            job_id uuid NOT NULL
                CONSTRAINT job_aliases_job_id_fkey REFERENCES jobs.jobs ON DELETE CASCADE,
            environment_id uuid NOT NULL,
            pinned boolean NOT NULL DEFAULT false,
            CONSTRAINT job_aliases_job_id_environment_id_name_key
                UNIQUE (job_id, environment_id, name)
        )
        """
    )
    op.execute("CREATE INDEX job_aliases_version_id_idx ON jobs.job_aliases (version_id)")
    op.execute(
        "CREATE INDEX job_aliases_environment_id_job_id_idx"
        " ON jobs.job_aliases (environment_id, job_id)"
    )
    op.execute(
        """
        CREATE TABLE jobs.event_examples (
            id uuid CONSTRAINT event_examples_pkey PRIMARY KEY,
            slug text NOT NULL,
            name text NOT NULL,
            icon text,
            payload jsonb,
            job_version_id uuid NOT NULL
                CONSTRAINT event_examples_job_version_id_fkey
                REFERENCES jobs.job_versions ON DELETE CASCADE,
            CONSTRAINT event_examples_slug_job_version_id_key UNIQUE (slug, job_version_id)
        )
        """
    )
    op.execute(
        "CREATE INDEX event_examples_job_version_id_idx ON jobs.event_examples (job_version_id)"
    )
    op.execute(
        """
        CREATE TABLE jobs.integrations (
            id uuid CONSTRAINT integrations_pkey PRIMARY KEY,
            slug text NOT NULL,
            title text NOT NULL,
            organization_id uuid NOT NULL,
            auth_source text NOT NULL
                CONSTRAINT integrations_auth_source_check
                CHECK (auth_source IN ('LOCAL', 'HOSTED', 'RESOLVER')),
            setup_status text NOT NULL
                CONSTRAINT integrations_setup_status_check
                CHECK (setup_status IN ('COMPLETE', 'MISSING_FIELDS')),
            CONSTRAINT integrations_organization_id_slug_key UNIQUE (organization_id, slug)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE jobs.job_integrations (
            key text NOT NULL,
            version_id uuid NOT NULL
                CONSTRAINT job_integrations_version_id_fkey
                REFERENCES jobs.job_versions ON DELETE CASCADE,
            job_id uuid NOT NULL,
            integration_id uuid NOT NULL
                CONSTRAINT job_integrations_integration_id_fkey REFERENCES jobs.integrations,
            CONSTRAINT job_integrations_pkey PRIMARY KEY (version_id, key)
        )
        """
    )
    op.execute(
        "CREATE INDEX job_integrations_integration_id_idx ON jobs.job_integrations (integration_id)"
    )


def create_bookkeeping() -> None:
    # Which change of a job's dispatcher is the newest: events takes only newer ones.
    op.execute(
        """
        CREATE TABLE jobs.job_dispatchers (
            job_id uuid NOT NULL
                CONSTRAINT job_dispatchers_job_id_fkey REFERENCES jobs.jobs ON DELETE CASCADE,
            environment_id uuid NOT NULL,
            generation bigint NOT NULL,
            CONSTRAINT job_dispatchers_pkey PRIMARY KEY (job_id, environment_id)
        )
        """
    )
    # The event that a test was given, so that its repeat is given the same.
    op.execute(
        """
        CREATE TABLE jobs.test_requests (
            environment_id uuid NOT NULL,
            request_id text NOT NULL,
            version_id uuid NOT NULL,
            event_id text NOT NULL,
            event_record_id uuid NOT NULL,
            external_account_id uuid,
            created_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT test_requests_pkey PRIMARY KEY (environment_id, request_id)
        )
        """
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE jobs.{table}")
    op.execute("DROP FUNCTION jobs.update_updated_at_column()")
