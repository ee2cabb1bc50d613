"""Between the messages of jobs and its domain."""

from uuid import UUID

from google.protobuf.message import Message

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as internal_pb
from kongflow.jobs.v1 import job_pb2
from kongflow.jobs.v1 import jobs_service_pb2 as pb
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import FieldViolation, InvalidField, InvalidFields
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import (
    bounded_int,
    optional_id,
    optional_text,
    required_id,
    required_one_of,
    required_text,
)
from kongflow_common.rpc.payload_mapping import from_payload, to_payload
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_jobs.application.invoke_job import InvokeJobCommand
from kongflow_jobs.application.ports import Disabling
from kongflow_jobs.application.test_job import StartedRun, TestJobCommand
from kongflow_jobs.domain.job import (
    LATEST,
    EventExample,
    Job,
    JobAlias,
    JobPlace,
    JobQueue,
    JobVersion,
    ResolvedVersion,
    TriggerKind,
    VersionReference,
    VersionStatus,
)
from kongflow_jobs.domain.registration import Registration, read_registration
from kongflow_protocol.documents import InvalidDocument

_MAX_GENERATION = 2**62

_STATES = {
    status: job_pb2.JobVersion.State.Value(f"STATE_{status.name}") for status in VersionStatus
}
_TRIGGERS = {kind: job_pb2.JobVersion.Trigger.Value(f"TRIGGER_{kind.name}") for kind in TriggerKind}


def place_of(scope: EnvironmentScope) -> JobPlace:
    """The place of the caller."""
    return JobPlace(scope.environment_id, scope.project_id, scope.organization_id)


def job_key(request: pb.GetJobRequest) -> UUID | str:
    """The id or slug that is asked for; raises InvalidField."""
    if required_one_of(request, "key") == "id":
        return required_id(request.id, "id")
    return required_text(request.slug, "slug")


def registration(request: internal_pb.RegisterJobRequest) -> Registration:
    """What is to be registered; raises InvalidField and InvalidFields."""
    try:
        return read_registration(
            _place(request),
            required_id(request.endpoint_id, "endpoint_id"),
            _generation(request.generation),
            request.metadata,
        )
    except InvalidDocument as error:
        raise InvalidFields(
            [
                FieldViolation(
                    f"metadata.{issue.path}" if issue.path else "metadata", issue.message
                )
                for issue in error.issues
            ]
        ) from None


def disabling(request: internal_pb.DisableJobRequest) -> Disabling:
    """What is to be disabled; raises InvalidField."""
    return Disabling(
        place=JobPlace(
            required_id(request.environment_id, "environment_id"),
            required_id(request.project_id, "project_id"),
            required_id(request.organization_id, "organization_id"),
        ),
        slug=required_text(request.slug, "slug"),
        version=required_text(request.version, "version"),
        generation=_generation(request.generation),
    )


def reference(request: internal_pb.JobVersionReference, field: str) -> VersionReference:
    """The version that is referred to; raises InvalidField."""
    chosen = request.WhichOneof("selector")
    job_id = optional_id(request.job_id, f"{field}.job_id")
    if chosen != "version_id" and job_id is None:
        raise InvalidField(f"{field}.job_id", "is required without the id of a version")
    return VersionReference(
        environment_id=required_id(request.environment_id, f"{field}.environment_id"),
        job_id=job_id,
        alias=(request.alias if chosen == "alias" else None) or (None if chosen else LATEST),
        version=request.version if chosen == "version" else None,
        version_id=optional_id(request.version_id, f"{field}.version_id"),
    )


def resolved(value: ResolvedVersion | None) -> internal_pb.ResolvedJobVersion:
    """What a reference stands for, as services see it."""
    if value is None:
        return internal_pb.ResolvedJobVersion()
    return internal_pb.ResolvedJobVersion(
        found=True,
        job_id=str(value.job_id),
        job_slug=value.job_slug,
        version_id=str(value.version_id),
        version=value.version,
        active=value.active,
        endpoint_id=str(value.endpoint_id),
        queue_id=str(value.queue_id),
        preprocess_runs=value.preprocess_runs,
        hosted_integrations=value.hosted_integrations,
        internal=value.internal,
    )


def command_of_test(request: pb.TestJobRequest, scope: EnvironmentScope) -> TestJobCommand:
    """The test that is asked for; raises InvalidField."""
    target = required_one_of(request, "target")
    job: UUID | str | None = None
    if target == "job_id":
        job = required_id(request.job_id, "job_id")
    elif target == "job_slug":
        job = required_text(request.job_slug, "job_slug")
    return TestJobCommand(
        place=place_of(scope),
        job=job,
        version_id=required_id(request.version_id, "version_id") if job is None else None,
        payload=_payload(request, "payload"),
        account_id=optional_text(request.account_id, "account_id") or "",
        request_id=optional_text(request.request_id, "request_id") or "",
    )


def invoke_command(request: pb.InvokeJobRequest, scope: EnvironmentScope) -> InvokeJobCommand:
    """The invocation that is asked for; raises InvalidField."""
    job: UUID | str
    if required_one_of(request, "target") == "job_id":
        job = required_id(request.job_id, "job_id")
    else:
        job = required_text(request.job_slug, "job_slug")
    return InvokeJobCommand(
        place=place_of(scope),
        environment_slug=scope.slug,
        job=job,
        payload=_payload(request, "payload"),
        context=_payload(request, "context"),
        account_id=optional_text(request.account_id, "account_id") or "",
        idempotency_key=optional_text(request.idempotency_key, "idempotency_key") or "",
    )


def response_of_test(started: StartedRun) -> pb.TestJobResponse:
    """What a test started."""
    return pb.TestJobResponse(
        run_id=str(started.run_id),
        event_record_id=str(started.event_record_id),
        event_id=started.event_id,
    )


def job(value: Job) -> job_pb2.Job:
    """A job as clients see it."""
    return job_pb2.Job(
        id=str(value.id),
        slug=value.slug,
        title=value.title,
        internal=value.internal,
        latest_version=None if value.latest is None else version(value.latest),
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def version(value: JobVersion) -> job_pb2.JobVersion:
    """A version as clients see it."""
    return job_pb2.JobVersion(
        id=str(value.id),
        job_id=str(value.job_id),
        version=value.version,
        state=_STATES[value.status],
        trigger=_TRIGGERS[value.trigger],
        event_specification=to_payload(value.event_specification),
        properties=None if value.properties is None else to_payload(value.properties),
        endpoint_id=str(value.endpoint_id),
        queue_name=value.queue_name,
        concurrency_limit=value.concurrency_limit or 0,
        concurrency_limit_group=value.concurrency_limit_group or "",
        preprocess_runs=value.preprocess_runs,
        integrations=[
            job_pb2.JobIntegration(
                key=used.key,
                integration=used.integration,
                auth_source=job_pb2.JobIntegration.AuthSource.Value(
                    f"AUTH_SOURCE_{used.auth_source}"
                ),
            )
            for used in value.integrations
        ],
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def alias(value: JobAlias) -> job_pb2.JobAlias:
    """An alias as clients see it."""
    return job_pb2.JobAlias(
        id=str(value.id),
        job_id=str(value.job_id),
        name=value.name,
        value=value.value,
        version_id=str(value.version_id),
    )


def example(value: EventExample) -> job_pb2.EventExample:
    """An example as clients see it."""
    return job_pb2.EventExample(
        id=str(value.id),
        version_id=str(value.version_id),
        slug=value.slug,
        name=value.name,
        icon=value.icon or "",
        payload=to_payload(value.payload),
    )


def queue(value: JobQueue) -> job_pb2.JobQueue:
    """A queue as clients see it."""
    return job_pb2.JobQueue(
        id=str(value.id), name=value.name, max_jobs=value.max_jobs, job_count=value.job_count
    )


def _place(request: internal_pb.RegisterJobRequest) -> JobPlace:
    return JobPlace(
        required_id(request.environment_id, "environment_id"),
        required_id(request.project_id, "project_id"),
        required_id(request.organization_id, "organization_id"),
    )


def _generation(value: int) -> int:
    return bounded_int(value, "generation", at_least=1, at_most=_MAX_GENERATION)


def _payload(request: Message, name: str) -> JsonDocument | None:
    if not request.HasField(name):
        return None
    document = from_payload(getattr(request, name), name)
    # Null is the same as nothing to the original.
    return None if document is None or document.text.strip() == b"null" else document
