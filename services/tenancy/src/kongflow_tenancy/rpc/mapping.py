"""Between the messages of tenancy and its domain."""

import hashlib
from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.tenancy.internal.v1 import principal_service_pb2 as internal_pb
from kongflow.tenancy.v1 import environment_key_pb2, environment_pb2, organization_pb2, project_pb2
from kongflow_common.auth.principals import current_principal
from kongflow_common.rpc.field_parsing import optional_text
from kongflow_common.rpc.timestamps import to_duration, to_timestamp
from kongflow_tenancy.application.ports import Write
from kongflow_tenancy.domain.credentials import (
    EnvironmentKey,
    KeyKind,
    KeyPrincipal,
    OperatorPrincipal,
)
from kongflow_tenancy.domain.organization import (
    Environment,
    EnvironmentContext,
    EnvironmentDescription,
    EnvironmentType,
    Organization,
    Project,
)

MAX_REQUEST_ID_LENGTH = 128

ENVIRONMENT_TYPES: dict[int, EnvironmentType] = {
    environment_pb2.Environment.TYPE_PRODUCTION: EnvironmentType.PRODUCTION,
    environment_pb2.Environment.TYPE_STAGING: EnvironmentType.STAGING,
    environment_pb2.Environment.TYPE_DEVELOPMENT: EnvironmentType.DEVELOPMENT,
    environment_pb2.Environment.TYPE_PREVIEW: EnvironmentType.PREVIEW,
}
KEY_KINDS: dict[int, KeyKind] = {
    environment_key_pb2.EnvironmentKey.KIND_SECRET: KeyKind.SECRET,
    environment_key_pb2.EnvironmentKey.KIND_PUBLIC: KeyKind.PUBLIC,
}
_TYPES_ON_WIRE = {
    value: environment_pb2.Environment.Type.Value(f"TYPE_{value}") for value in EnvironmentType
}
_KINDS_ON_WIRE = {
    value: environment_key_pb2.EnvironmentKey.Kind.Value(f"KIND_{value.name}") for value in KeyKind
}


def write_of(request: Message, request_id: str) -> Write:
    """Who asks for a write, and what makes its repeat harmless."""
    operator = current_principal()
    return Write(
        operator_id=UUID(operator.key_id),
        operator_name=operator.name,
        method=request.DESCRIPTOR.name.removesuffix("Request"),
        request_id=optional_text(request_id, "request_id", max_length=MAX_REQUEST_ID_LENGTH) or "",
        fingerprint=hashlib.sha256(request.SerializeToString(deterministic=True)).digest(),
    )


def organization(value: Organization) -> organization_pb2.Organization:
    """An organization as clients see it."""
    return organization_pb2.Organization(
        id=str(value.id),
        slug=value.slug,
        title=value.title,
        runs_enabled=value.runs_enabled,
        maximum_execution_time_per_run=to_duration(value.maximum_execution_time_per_run),
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def project(value: Project) -> project_pb2.Project:
    """A project as clients see it."""
    return project_pb2.Project(
        id=str(value.id),
        slug=value.slug,
        name=value.name,
        organization_id=str(value.organization_id),
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def environment(value: Environment) -> environment_pb2.Environment:
    """An environment as clients see it."""
    return environment_pb2.Environment(
        id=str(value.id),
        slug=value.slug,
        type=_TYPES_ON_WIRE[value.type],
        shortcode=value.shortcode,
        auto_enable_internal_sources=value.auto_enable_internal_sources,
        project_id=str(value.project_id),
        organization_id=str(value.organization_id),
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def environment_key(value: EnvironmentKey) -> environment_key_pb2.EnvironmentKey:
    """A key as clients see it: without its text."""
    return environment_key_pb2.EnvironmentKey(
        id=str(value.id),
        environment_id=str(value.environment_id),
        kind=_KINDS_ON_WIRE[value.kind],
        hint=value.hint,
        create_time=to_timestamp(value.created_at),
        expire_time=_optional_time(value.expires_at),
        revoke_time=_optional_time(value.revoked_at),
    )


def credential(
    found: KeyPrincipal | OperatorPrincipal,
) -> internal_pb.LookUpCredentialResponse:
    """What a credential stands for, as other services see it."""
    if isinstance(found, KeyPrincipal):
        return internal_pb.LookUpCredentialResponse(
            key=internal_pb.KeyPrincipal(
                key_id=str(found.key_id),
                public=found.kind is KeyKind.PUBLIC,
                environment=environment_context(found.environment),
            ),
            expire_time=_optional_time(found.expires_at),
        )
    return internal_pb.LookUpCredentialResponse(
        operator=internal_pb.OperatorPrincipal(
            operator_id=str(found.operator_id), name=found.name, scopes=found.scopes
        )
    )


def environment_context(value: EnvironmentContext) -> internal_pb.EnvironmentContext:
    """An environment with what it belongs to, as other services see it."""
    return internal_pb.EnvironmentContext(
        environment_id=str(value.environment_id),
        project_id=str(value.project_id),
        organization_id=str(value.organization_id),
        slug=value.slug,
        type=value.type.value,
        runs_enabled=value.runs_enabled,
    )


def environment_description(
    value: EnvironmentDescription,
) -> internal_pb.DescribeEnvironmentResponse:
    """A description, as other services see it."""
    return internal_pb.DescribeEnvironmentResponse(
        environment=environment_context(value.environment),
        project_slug=value.project_slug,
        project_name=value.project_name,
        organization_slug=value.organization_slug,
        organization_title=value.organization_title,
        maximum_execution_time_per_run=to_duration(value.maximum_execution_time_per_run),
    )


def _optional_time(time: datetime | None) -> Timestamp | None:
    return None if time is None else to_timestamp(time)
