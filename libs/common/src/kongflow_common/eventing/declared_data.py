"""What the events of each declared type have to say, one class each.

A class is that of the newest version of its type. One that changes in a way that a reader of the
old data would not understand is a new version: `EventType` then has the step from the old one.
"""

from kongflow_common.eventing.typed_data import EventData, TypedData, event_data, says

__all__ = [
    "AccountDeleted",
    "DeploymentData",
    "DeploymentFailed",
    "EndpointIndexFailed",
    "EndpointIndexed",
    "EnvironmentDeleted",
    "EventCancelled",
    "EventDelivered",
    "EventIngested",
    "JobDeleted",
    "JobVersionData",
    "NotificationSent",
    "ProgressUpdated",
    "ProjectCreated",
    "ProjectDeleted",
    "ProjectInitData",
    "ProjectInitFailed",
    "ProjectInitStepCompleted",
    "ProjectUpdated",
    "RunCompleted",
    "RunCreated",
    "RunStarted",
    "StatusChanged",
    "SyncData",
    "SyncFailed",
    "UserData",
]


@event_data
class ProjectUpdated(TypedData):
    """Of `project.updated`."""

    project_id: str = says("the project")
    name: str = says("its name")
    organization_id: str = says("the organization it belongs to")


@event_data
class ProjectCreated(ProjectUpdated):
    """Of `project.created`."""

    created_by: str = says("who created it")


@event_data
class ProjectDeleted(TypedData):
    """Of `project.deleted`."""

    organization_id: str = says("the organization it belonged to")


@event_data
class EnvironmentDeleted(TypedData):
    """Of `environment.deleted`."""

    project_id: str = says("the project")
    organization_id: str = says("the organization it belonged to")


@event_data
class ProjectInitData(TypedData):
    """Of `project.init.queued`, `project.init.started` and `project.init.completed`."""

    project_id: str = says("the project")


@event_data
class ProjectInitStepCompleted(ProjectInitData):
    """Of `project.init.step_completed`."""

    step: str = says("which one")


@event_data
class ProjectInitFailed(ProjectInitData):
    """Of `project.init.failed`."""

    message: str = says("why")


@event_data
class UserData(TypedData):
    """Of `user.created` and `user.updated`."""

    user_id: str = says("the user")
    organization_id: str = says("the organization of the user")


@event_data
class DeploymentData(TypedData):
    """Of `deployment.queued`, `deployment.processing` and `deployment.completed`."""

    deployment_id: str = says("the deployment")
    project_id: str = says("the project it deploys")


@event_data
class DeploymentFailed(DeploymentData):
    """Of `deployment.failed`."""

    message: str = says("why")


@event_data
class SyncData(TypedData):
    """Of `gitops.sync.queued` and `gitops.sync.completed`."""

    sync_id: str = says("the synchronisation")
    project_id: str = says("the project")


@event_data
class SyncFailed(SyncData):
    """Of `gitops.sync.failed`."""

    message: str = says("why")


@event_data
class ProgressUpdated(TypedData):
    """Of `progress.updated`."""

    project_id: str = says("the project")
    step: str = says("what is being done")
    progress: float = says("how much of it is done, from 0 to 100", at_least=0, at_most=100)
    message: str = says("the same in words")


@event_data
class StatusChanged(TypedData):
    """Of `status.changed`."""

    status: str = says("the new one")
    previous: str | None = says("the one before", default=None)


@event_data
class NotificationSent(TypedData):
    """Of `notification.sent`."""

    title: str = says("what it is about")
    message: str = says("what it says")


@event_data
class EventCancelled(TypedData):
    """Of `event.cancelled`."""

    event_id: str = says("the sender's id of the event")
    name: str = says("what happened")


@event_data
class EventIngested(EventCancelled):
    """Of `event.ingested`."""

    source: str = says("who said so")
    matched_count: int | None = says(
        "how many dispatchers took it; null while it is to be delivered",
        default=None,
        at_least=0,
    )


@event_data
class EventDelivered(TypedData):
    """Of `event.delivered`."""

    matched_count: int = says("how many dispatchers took it", at_least=0)


@event_data
class AccountDeleted(TypedData):
    """Of `account.deleted`, which does not say the account's name: what is told is kept."""


@event_data
class JobVersionData(TypedData):
    """Of `job.registered` and `job.disabled`."""

    slug: str = says("the job")
    version: str = says("its version")


@event_data
class JobDeleted(TypedData):
    """Of `job.deleted`."""

    slug: str = says("the job")


@event_data
class EndpointIndexed(TypedData):
    """Of `endpoint.index.success`."""

    endpoint_id: str = says("the endpoint")
    statistics: EventData = says("how many of what was found")


@event_data
class EndpointIndexFailed(TypedData):
    """Of `endpoint.index.failure`."""

    endpoint_id: str = says("the endpoint")
    message: str = says("why")


@event_data
class RunCreated(TypedData):
    """Of `run.created`."""

    job_id: str = says("the job")
    event_record_id: str = says("the record of its event")
    dispatcher_id: str | None = says(
        "the dispatcher that took the event, unless the job was called by name", default=None
    )


@event_data
class RunStarted(TypedData):
    """Of `run.started`."""

    queued_job_id: str = says("the queued job that executes it")


@event_data
class RunCompleted(TypedData):
    """Of `run.completed.<state>`."""

    state: str = says("how it ended")
    job_slug: str | None = says("the job, where it was found", default=None)
    job_version: str | None = says("the job's version, where it was found", default=None)
