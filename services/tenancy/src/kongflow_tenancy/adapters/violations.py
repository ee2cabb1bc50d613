"""What a violated constraint means to tenancy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import IntegrityError

from kongflow_common.errors import Contended, KongflowError
from kongflow_tenancy.domain.errors import (
    EnvironmentExists,
    EnvironmentNotFound,
    OrganizationExists,
    OrganizationNotFound,
    ProjectExists,
    ProjectNotFound,
)

_MEANINGS: Mapping[str, type[KongflowError]] = {
    "organizations_slug_key": OrganizationExists,
    "projects_slug_key": ProjectExists,
    "projects_organization_id_fkey": OrganizationNotFound,
    "environments_project_id_slug_key": EnvironmentExists,
    "environments_project_id_fkey": ProjectNotFound,
    "environment_keys_environment_id_fkey": EnvironmentNotFound,
    # Two environments drew the same few characters: the repeat draws others.
    "environments_project_id_shortcode_key": Contended,
}


@contextmanager
def constraints_as_errors() -> Iterator[None]:
    """Raises the domain's error for a violated constraint that has a meaning."""
    try:
        yield
    except IntegrityError as error:
        cause = error.orig
        name = cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
        meaning = _MEANINGS.get(name or "")
        if meaning is None:
            raise
        raise meaning from error
