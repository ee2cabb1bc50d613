"""What can go wrong in tenancy, as facts; rpc/error_catalog.py says what they mean on the wire."""

from kongflow_common.errors import (
    AlreadyExists,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
)


class OrganizationNotFound(NotFound):
    """The organization was not found."""


class OrganizationExists(AlreadyExists):
    """An organization with this slug exists already."""


class ProjectNotFound(NotFound):
    """The project was not found."""


class ProjectExists(AlreadyExists):
    """A project with this slug exists already."""


class EnvironmentNotFound(NotFound):
    """The environment was not found."""


class EnvironmentExists(AlreadyExists):
    """The project has an environment with this slug already."""


class KeyNotFound(NotFound):
    """The key was not found."""


class KeyRevoked(PreconditionFailed):
    """The key has been revoked; a revoked key cannot be rotated."""


class EnvironmentHasNoKey(PreconditionFailed):
    """The environment has no secret key that is neither revoked nor expired."""


class SecretKeyNotShown(PermissionDenied):
    """Secret keys are revealed to the endpoints service only."""


class CredentialNotFound(NotFound):
    """The credential is unknown, revoked or expired."""


class RequestIdReused(AlreadyExists):
    """The request id was used before for a request that said something else."""
