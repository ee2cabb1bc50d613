"""What the key of another environment gets for what belongs to an owner."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.events.v1 import event_dispatcher_pb2, event_record_pb2, event_schema_pb2
from kongflow.events.v1 import event_replays_service_pb2 as replays_pb
from kongflow.events.v1 import event_schemas_service_pb2 as schemas_pb
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1 import resource_events_service_pb2 as resource_events_pb
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.runs.v1 import runs_service_pb2 as runs_pb

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tenant:
    """An environment with a key, an event, its dispatcher and its run."""

    metadata: Metadata
    event_id: str
    event_record_id: str
    dispatchable_id: str
    dispatcher_id: str
    run_id: str
    endpoint_id: str
    endpoint_index_id: str
    job_id: str
    version_id: str
    schema_name: str
    schema_id: str
    replay_id: str


def stranger_event(owner: Tenant) -> events_pb.SendEventRequest:
    """An event with the id of one of the owner's."""
    return events_pb.SendEventRequest(
        event=event_record_pb2.EventRecord(name="stranger", event_id=owner.event_id)
    )


def stranger_cloud_event(owner: Tenant) -> events_pb.SendCloudEventRequest:
    """A CloudEvent with the id of one of the owner's events."""
    request = events_pb.SendCloudEventRequest()
    event = request.cloud_event.event
    event.id, event.source, event.type, event.spec_version = owner.event_id, "s", "stranger", "1.0"
    return request


def stranger_schema() -> event_schema_pb2.EventSchema:
    """A schema for the stranger's own events."""
    return event_schema_pb2.EventSchema(
        event_name="stranger.checked", schema=Payload(json=b'{"type": "object"}')
    )


OWN = grpc.StatusCode.OK
NOT_FOUND = grpc.StatusCode.NOT_FOUND
DENIED = grpc.StatusCode.PERMISSION_DENIED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

# What another environment's key gets for the owner's ids. A method that is missing here fails
# test_who_may_call: whoever adds one says what a stranger gets.
STRANGERS: dict[str, tuple[grpc.StatusCode, Callable[[Tenant], Message]]] = {
    "EventsService.GetEventRecord": (
        NOT_FOUND,
        lambda owner: events_pb.GetEventRecordRequest(id=owner.event_record_id),
    ),
    "EventsService.CancelEvent": (
        NOT_FOUND,
        lambda owner: events_pb.CancelEventRequest(event_id=owner.event_id),
    ),
    "ResourceEventsService.ListResourceEvents": (
        OWN,
        lambda owner: resource_events_pb.ListResourceEventsRequest(
            resource_id=owner.event_record_id
        ),
    ),
    "ResourceEventsService.WatchEvents": (
        OWN,
        lambda owner: resource_events_pb.WatchEventsRequest(resource_id=owner.event_record_id),
    ),
    # What is logged of an event that is stored has the id of its record.
    "ResourceEventsService.ReplayResourceEvent": (
        NOT_FOUND,
        lambda owner: resource_events_pb.ReplayResourceEventRequest(id=owner.event_record_id),
    ),
    "EventsService.GetEventDispatcher": (
        NOT_FOUND,
        lambda owner: events_pb.GetEventDispatcherRequest(id=owner.dispatcher_id),
    ),
    "EventsService.EnableEventDispatcher": (
        NOT_FOUND,
        lambda owner: events_pb.EnableEventDispatcherRequest(id=owner.dispatcher_id),
    ),
    "EventsService.DisableEventDispatcher": (
        NOT_FOUND,
        lambda owner: events_pb.DisableEventDispatcherRequest(id=owner.dispatcher_id),
    ),
    "EventsService.DeleteEventDispatcher": (
        NOT_FOUND,
        lambda owner: events_pb.DeleteEventDispatcherRequest(id=owner.dispatcher_id),
    ),
    "EventsService.DeleteExternalAccount": (
        NOT_FOUND,
        lambda owner: events_pb.DeleteExternalAccountRequest(account_id=owner.event_id),
    ),
    "EventsService.CreateEphemeralDispatcher": (
        OWN,
        lambda _: events_pb.CreateEphemeralDispatcherRequest(
            url="http://127.0.0.1:9/", event_names=["stranger"]
        ),
    ),
    "EventsService.CancelRunsForEvent": (
        NOT_FOUND,
        lambda owner: events_pb.CancelRunsForEventRequest(event_id=owner.event_id),
    ),
    "EventsService.SendEvent": (OWN, stranger_event),
    "EventsService.SendEvents": (
        OWN,
        lambda owner: events_pb.SendEventsRequest(
            requests=[stranger_event(owner)] * 2, atomic=True
        ),
    ),
    "EventsService.SendEventStream": (
        OWN,
        lambda owner: events_pb.SendEventStreamRequest(requests=[stranger_event(owner)]),
    ),
    "EventsService.SendCloudEvent": (OWN, stranger_cloud_event),
    "EventsService.SendCloudEvents": (
        OWN,
        lambda owner: events_pb.SendCloudEventsRequest(
            requests=[stranger_cloud_event(owner)] * 2, atomic=True
        ),
    ),
    "EventsService.GetCloudEvent": (
        NOT_FOUND,
        lambda owner: events_pb.GetCloudEventRequest(id=owner.event_record_id),
    ),
    "EventsService.ListCloudEvents": (
        OWN,
        lambda _: events_pb.ListCloudEventsRequest(page_size=1000),
    ),
    "EventReplaysService.ReplayEvent": (
        NOT_FOUND,
        lambda owner: replays_pb.ReplayEventRequest(id=owner.event_record_id),
    ),
    "EventReplaysService.ReplayEvents": (
        NOT_FOUND,
        lambda owner: replays_pb.ReplayEventsRequest(dispatcher_id=owner.dispatcher_id),
    ),
    "EventReplaysService.BackfillEventDispatcher": (
        NOT_FOUND,
        lambda owner: replays_pb.BackfillEventDispatcherRequest(
            dispatcher_id=owner.dispatcher_id, start_time=Timestamp(seconds=1)
        ),
    ),
    "EventReplaysService.GetEventReplay": (
        NOT_FOUND,
        lambda owner: replays_pb.GetEventReplayRequest(id=owner.replay_id),
    ),
    "EventReplaysService.ListEventReplays": (
        OWN,
        lambda _: replays_pb.ListEventReplaysRequest(page_size=1000),
    ),
    "EventReplaysService.CancelEventReplay": (
        NOT_FOUND,
        lambda owner: replays_pb.CancelEventReplayRequest(id=owner.replay_id),
    ),
    "EventSchemasService.RegisterEventSchema": (
        OWN,
        lambda _: schemas_pb.RegisterEventSchemaRequest(event_schema=stranger_schema()),
    ),
    "EventSchemasService.CheckEventSchema": (
        OWN,
        lambda _: schemas_pb.CheckEventSchemaRequest(event_schema=stranger_schema()),
    ),
    "EventSchemasService.GetEventSchema": (
        NOT_FOUND,
        lambda owner: schemas_pb.GetEventSchemaRequest(event_name=owner.schema_name),
    ),
    "EventSchemasService.ListEventSchemas": (
        OWN,
        lambda _: schemas_pb.ListEventSchemasRequest(page_size=1000),
    ),
    "EventSchemasService.DeleteEventSchema": (
        NOT_FOUND,
        lambda owner: schemas_pb.DeleteEventSchemaRequest(event_name=owner.schema_name, version=1),
    ),
    "EventsService.UpsertEventDispatcher": (
        OWN,
        lambda owner: events_pb.UpsertEventDispatcherRequest(
            event_dispatcher=event_dispatcher_pb2.EventDispatcher(
                dispatchable_id=owner.dispatchable_id,
                event_names=["stranger"],
                dispatchable=event_dispatcher_pb2.Dispatchable(
                    job_version=event_dispatcher_pb2.JobVersionDispatchable(job_id=str(uuid4()))
                ),
            )
        ),
    ),
    "EventsService.ListEventRecords": (
        OWN,
        lambda _: events_pb.ListEventRecordsRequest(page_size=1000),
    ),
    "EventsService.ListEventDispatchers": (
        OWN,
        lambda _: events_pb.ListEventDispatchersRequest(page_size=1000),
    ),
    "EventsService.ExplainEvent": (
        NOT_FOUND,
        lambda owner: events_pb.ExplainEventRequest(id=owner.event_record_id),
    ),
    "EventsService.TestFilter": (
        OWN,
        lambda _: events_pb.TestFilterRequest(payload_filter=Payload(json=b"{}")),
    ),
    # It takes everything, and there is nothing of the owner's to take.
    "EventsService.BacktestFilter": (
        OWN,
        lambda _: events_pb.BacktestFilterRequest(
            payload_filter=Payload(json=b"{}"), max_events=1000
        ),
    ),
    "EndpointsService.CreateEndpoint": (
        PRECONDITION,
        lambda _: endpoints_pb.CreateEndpointRequest(
            endpoint=endpoint_pb2.Endpoint(slug="nobody", url="http://127.0.0.1:9/")
        ),
    ),
    "EndpointsService.ValidateEndpoint": (
        PRECONDITION,
        lambda _: endpoints_pb.ValidateEndpointRequest(url="http://127.0.0.1:9/"),
    ),
    "EndpointsService.GetEndpoint": (
        NOT_FOUND,
        lambda owner: endpoints_pb.GetEndpointRequest(id=owner.endpoint_id),
    ),
    "EndpointsService.ListEndpoints": (OWN, lambda _: endpoints_pb.ListEndpointsRequest()),
    "EndpointsService.UpdateEndpoint": (
        NOT_FOUND,
        lambda owner: endpoints_pb.UpdateEndpointRequest(
            endpoint=endpoint_pb2.Endpoint(
                id=owner.endpoint_id, run_chunk_execution_limit=Duration(seconds=60)
            ),
            update_mask=FieldMask(paths=["run_chunk_execution_limit"]),
        ),
    ),
    "EndpointsService.IndexEndpoint": (
        NOT_FOUND,
        lambda owner: endpoints_pb.IndexEndpointRequest(id=owner.endpoint_id),
    ),
    "EndpointsService.GetEndpointIndex": (
        NOT_FOUND,
        lambda owner: endpoints_pb.GetEndpointIndexRequest(id=owner.endpoint_index_id),
    ),
    "EndpointsService.ListEndpointIndexes": (
        NOT_FOUND,
        lambda owner: endpoints_pb.ListEndpointIndexesRequest(endpoint_id=owner.endpoint_id),
    ),
    "EndpointsService.ListEndpointIndexItems": (
        NOT_FOUND,
        lambda owner: endpoints_pb.ListEndpointIndexItemsRequest(
            endpoint_index_id=owner.endpoint_index_id
        ),
    ),
    "EndpointsService.DeleteEndpoint": (
        NOT_FOUND,
        lambda owner: endpoints_pb.DeleteEndpointRequest(id=owner.endpoint_id),
    ),
    # A job is its project's, and the stranger is of the same project; versions are not.
    "JobsService.GetJob": (OWN, lambda owner: jobs_pb.GetJobRequest(id=owner.job_id)),
    "JobsService.ListJobs": (OWN, lambda _: jobs_pb.ListJobsRequest()),
    "JobsService.GetJobVersion": (
        NOT_FOUND,
        lambda owner: jobs_pb.GetJobVersionRequest(id=owner.version_id),
    ),
    "JobsService.ListJobVersions": (
        OWN,
        lambda owner: jobs_pb.ListJobVersionsRequest(job_id=owner.job_id),
    ),
    "JobsService.ListJobAliases": (
        OWN,
        lambda owner: jobs_pb.ListJobAliasesRequest(job_id=owner.job_id),
    ),
    "JobsService.ListEventExamples": (
        NOT_FOUND,
        lambda owner: jobs_pb.ListEventExamplesRequest(version_id=owner.version_id),
    ),
    "JobsService.ListJobQueues": (OWN, lambda _: jobs_pb.ListJobQueuesRequest()),
    "JobsService.TestJob": (
        NOT_FOUND,
        lambda owner: jobs_pb.TestJobRequest(job_id=owner.job_id),
    ),
    "JobsService.InvokeJob": (
        NOT_FOUND,
        lambda owner: jobs_pb.InvokeJobRequest(job_id=owner.job_id),
    ),
    "JobsService.DeleteJob": (
        PRECONDITION,
        lambda owner: jobs_pb.DeleteJobRequest(id=owner.job_id),
    ),
    "RunsService.GetRun": (NOT_FOUND, lambda owner: runs_pb.GetRunRequest(id=owner.run_id)),
    "RunsService.CancelRun": (
        NOT_FOUND,
        lambda owner: runs_pb.CancelRunRequest(id=owner.run_id),
    ),
    "RunsService.ListRuns": (OWN, lambda _: runs_pb.ListRunsRequest(page_size=1000)),
}
