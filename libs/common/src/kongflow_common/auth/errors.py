"""Why a caller is not let in."""

from kongflow_common.errors import KongflowError, NotFound, PermissionDenied, Unauthenticated

__all__ = [
    "CallerNotAllowed",
    "CredentialInvalid",
    "CredentialMissing",
    "EnvironmentNotAllowed",
    "EnvironmentNotFound",
    "EnvironmentRequired",
    "OperatorScopeMissing",
    "ServiceTokenInvalid",
]


class CredentialMissing(Unauthenticated):
    """The call shows no credential; send `authorization: Bearer <key or token>`."""


class CredentialInvalid(Unauthenticated):
    """The credential is unknown, revoked or expired."""


class ServiceTokenInvalid(Unauthenticated):
    """The service token is not valid here."""


class CallerNotAllowed(PermissionDenied):
    """Callers of this kind may not call this method."""


class OperatorScopeMissing(PermissionDenied):
    """The operator does not hold the scope that this method asks for."""


class EnvironmentNotAllowed(KongflowError):
    """A key belongs to one environment; do not send `kongflow-environment` with it."""


class EnvironmentRequired(KongflowError):
    """The method acts inside an environment; name it in `kongflow-environment`."""


class EnvironmentNotFound(NotFound):
    """The environment was not found."""
