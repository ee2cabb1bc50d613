"""What the errors of tenancy mean on the wire."""

from grpc import StatusCode

from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_tenancy.domain import errors

CATALOG = ErrorCatalog(
    "tenancy.kongflow",
    {
        errors.OrganizationNotFound: ErrorSpec(StatusCode.NOT_FOUND, "ORGANIZATION_NOT_FOUND"),
        errors.OrganizationExists: ErrorSpec(StatusCode.ALREADY_EXISTS, "ORGANIZATION_EXISTS"),
        errors.ProjectNotFound: ErrorSpec(StatusCode.NOT_FOUND, "PROJECT_NOT_FOUND"),
        errors.ProjectExists: ErrorSpec(StatusCode.ALREADY_EXISTS, "PROJECT_EXISTS"),
        errors.EnvironmentNotFound: ErrorSpec(StatusCode.NOT_FOUND, "ENVIRONMENT_NOT_FOUND"),
        errors.EnvironmentExists: ErrorSpec(StatusCode.ALREADY_EXISTS, "ENVIRONMENT_EXISTS"),
        errors.KeyNotFound: ErrorSpec(StatusCode.NOT_FOUND, "KEY_NOT_FOUND"),
        errors.KeyRevoked: ErrorSpec(StatusCode.FAILED_PRECONDITION, "KEY_REVOKED"),
        errors.EnvironmentHasNoKey: ErrorSpec(
            StatusCode.FAILED_PRECONDITION, "ENVIRONMENT_HAS_NO_KEY"
        ),
        errors.SecretKeyNotShown: ErrorSpec(StatusCode.PERMISSION_DENIED, "SECRET_KEY_NOT_SHOWN"),
        errors.CredentialNotFound: ErrorSpec(StatusCode.NOT_FOUND, "CREDENTIAL_NOT_FOUND"),
        errors.RequestIdReused: ErrorSpec(StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    },
)
