"""The words of options that take one of a fixed set; those of the .proto files, in lower case."""

from enum import StrEnum


class EventState(StrEnum):
    """States of an event record."""

    PENDING = "pending"
    DELIVERED = "delivered"
    UNMATCHED = "unmatched"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """States of a run."""

    PENDING = "pending"
    QUEUED = "queued"
    WAITING_ON_CONNECTIONS = "waiting_on_connections"
    PREPROCESSING = "preprocessing"
    STARTED = "started"
    EXECUTING = "executing"
    WAITING_TO_CONTINUE = "waiting_to_continue"
    WAITING_TO_EXECUTE = "waiting_to_execute"
    SUCCESS = "success"
    FAILURE = "failure"
    TIMED_OUT = "timed_out"
    ABORTED = "aborted"
    CANCELED = "canceled"
    UNRESOLVED_AUTH = "unresolved_auth"
    INVALID_PAYLOAD = "invalid_payload"


class QueuedJobState(StrEnum):
    """States of a queued job, and a word for those that failed."""

    AVAILABLE = "available"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    FAILED = "failed"


class AuditAction(StrEnum):
    """What operators do to the worker queue."""

    RETRY = "retry"
    EDIT = "edit"
    CANCEL = "cancel"
    DELETE = "delete"
    PAUSE = "pause"
    RESUME = "resume"
    REDRIVE = "redrive"
    CANCEL_REDRIVE = "cancel_redrive"
    LIMIT = "limit"
    RUN = "run"


class PriorityWord(StrEnum):
    """Priorities of queued jobs."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    VERY_LOW = "very_low"


class PayloadTypeWord(StrEnum):
    """How a payload is to be read."""

    JSON = "json"
    REQUEST = "request"


class EnvironmentType(StrEnum):
    """What an environment is for."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"
    PREVIEW = "preview"


class KeyKind(StrEnum):
    """What a key opens."""

    SECRET = "secret"
    PUBLIC = "public"
