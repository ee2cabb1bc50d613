"""Organizations, projects, environments, their keys, operators and the audit.

Revision ID: 0001
Revises:
"""

from alembic import op

from kongflow_common.db.triggers import add_updated_at_trigger, create_updated_at_function

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "tenancy"


def upgrade() -> None:
    create_updated_at_function(SCHEMA)
    create_tenants()
    create_credentials()
    create_records_of_writes()
    for table in ("organizations", "projects", "environments"):
        add_updated_at_trigger(SCHEMA, table)


def create_tenants() -> None:
    op.execute(
        """
        CREATE TABLE tenancy.organizations (
            id uuid CONSTRAINT organizations_pkey PRIMARY KEY,
            slug text NOT NULL CONSTRAINT organizations_slug_key UNIQUE,
            title text NOT NULL,
            runs_enabled boolean NOT NULL DEFAULT true,
            maximum_execution_time_per_run_ms bigint NOT NULL DEFAULT 900000,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT organizations_execution_time_check
                CHECK (maximum_execution_time_per_run_ms > 0)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE tenancy.projects (
            id uuid CONSTRAINT projects_pkey PRIMARY KEY,
            slug text NOT NULL CONSTRAINT projects_slug_key UNIQUE,
            name text NOT NULL,
            organization_id uuid NOT NULL CONSTRAINT projects_organization_id_fkey
                REFERENCES tenancy.organizations (id) ON DELETE CASCADE,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute("CREATE INDEX projects_organization_id_idx ON tenancy.projects (organization_id)")
    op.execute(
        """
        CREATE TABLE tenancy.environments (
            id uuid CONSTRAINT environments_pkey PRIMARY KEY,
            slug text NOT NULL,
            type text NOT NULL CONSTRAINT environments_type_check
                CHECK (type IN ('PRODUCTION', 'STAGING', 'DEVELOPMENT', 'PREVIEW')),
            shortcode text NOT NULL,
            auto_enable_internal_sources boolean NOT NULL DEFAULT true,
            project_id uuid NOT NULL CONSTRAINT environments_project_id_fkey
                REFERENCES tenancy.projects (id) ON DELETE CASCADE,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT environments_project_id_slug_key UNIQUE (project_id, slug),
            CONSTRAINT environments_project_id_shortcode_key UNIQUE (project_id, shortcode)
        )
        """
    )


def create_credentials() -> None:
    # The hash finds a key; the text is kept encrypted, because endpoints are called with it.
    op.execute(
        """
        CREATE TABLE tenancy.environment_keys (
            id uuid CONSTRAINT environment_keys_pkey PRIMARY KEY,
            environment_id uuid NOT NULL CONSTRAINT environment_keys_environment_id_fkey
                REFERENCES tenancy.environments (id) ON DELETE CASCADE,
            kind text NOT NULL CONSTRAINT environment_keys_kind_check
                CHECK (kind IN ('secret', 'public')),
            hash bytea NOT NULL CONSTRAINT environment_keys_hash_key UNIQUE,
            ciphertext bytea NOT NULL,
            key_id text NOT NULL,
            hint text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            revoked_at timestamptz,
            CONSTRAINT environment_keys_hash_check CHECK (length(hash) = 32)
        )
        """
    )
    op.execute(
        "CREATE INDEX environment_keys_environment_id_idx"
        " ON tenancy.environment_keys (environment_id, id)"
    )
    op.execute(
        """
        CREATE TABLE tenancy.operators (
            id uuid CONSTRAINT operators_pkey PRIMARY KEY,
            name text NOT NULL CONSTRAINT operators_name_key UNIQUE,
            token_hash bytea NOT NULL CONSTRAINT operators_token_hash_key UNIQUE,
            scopes text[] NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            revoked_at timestamptz,
            CONSTRAINT operators_token_hash_check CHECK (length(token_hash) = 32)
        )
        """
    )


def create_records_of_writes() -> None:
    op.execute(
        """
        CREATE TABLE tenancy.write_requests (
            operator_id uuid NOT NULL,
            method text NOT NULL,
            request_id text NOT NULL,
            fingerprint bytea NOT NULL,
            resource_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT write_requests_pkey PRIMARY KEY (operator_id, method, request_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE tenancy.audit_entries (
            id uuid CONSTRAINT audit_entries_pkey PRIMARY KEY,
            operator_id uuid NOT NULL,
            operator_name text NOT NULL,
            action text NOT NULL,
            subject text NOT NULL,
            details jsonb NOT NULL DEFAULT '{}',
            trace_id text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    for table in (
        "audit_entries",
        "write_requests",
        "operators",
        "environment_keys",
        "environments",
        "projects",
        "organizations",
    ):
        op.execute(f"DROP TABLE tenancy.{table}")
    op.execute("DROP FUNCTION tenancy.update_updated_at_column()")
