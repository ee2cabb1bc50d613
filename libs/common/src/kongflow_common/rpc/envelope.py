"""What a task method is told about the queued job behind a call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.errors import InvalidField
from kongflow_common.ids import id_text, parse_id
from kongflow_common.rpc.field_parsing import shared_id
from kongflow_common.rpc.timestamps import from_timestamp, to_timestamp

__all__ = ["Envelope", "envelopes_of_batch", "origins_of_batch"]

_JOB = "kongflow-queued-job-id"
_ATTEMPT = "kongflow-attempt"
_FENCING = "kongflow-fencing-token"
_ENVIRONMENT = "kongflow-environment"
_IDEMPOTENCY_KEY = "kongflow-idempotency-key"
_DEADLINE = "kongflow-deadline"
_TRACEPARENT = "traceparent"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The queued job behind a call.

    `attempt` counts from 1; of two calls for one job the one with the lower `fencing_token`
    is out of date; `idempotency_key` is the same for every attempt; `environment_id` is None
    for jobs above environments; at `deadline` the worker stops waiting.
    """

    queued_job_id: UUID
    attempt: int
    fencing_token: int
    environment_id: UUID | None
    idempotency_key: str
    deadline: datetime | None
    traceparent: str

    @staticmethod
    def from_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> "Envelope":
        """Read the metadata of a single call. Raises InvalidField for one without a job."""
        given = {name: value for name, value in metadata or () if isinstance(value, str)}
        deadline = given.get(_DEADLINE, "")
        environment = given.get(_ENVIRONMENT, "")
        return Envelope(
            queued_job_id=parse_id(given.get(_JOB, ""), _JOB),
            attempt=_number(given, _ATTEMPT),
            fencing_token=_number(given, _FENCING),
            environment_id=parse_id(environment, _ENVIRONMENT) if environment else None,
            idempotency_key=given.get(_IDEMPOTENCY_KEY, ""),
            deadline=_time(deadline) if deadline else None,
            traceparent=given.get(_TRACEPARENT, ""),
        )

    def to_metadata(self) -> tuple[tuple[str, str], ...]:
        """Write the metadata of a single call; what is empty is left out."""
        metadata = [
            (_JOB, id_text(self.queued_job_id)),
            (_ATTEMPT, str(self.attempt)),
            (_FENCING, str(self.fencing_token)),
        ]
        if self.environment_id is not None:
            metadata.append((_ENVIRONMENT, id_text(self.environment_id)))
        if self.idempotency_key:
            metadata.append((_IDEMPOTENCY_KEY, self.idempotency_key))
        if self.deadline is not None:
            metadata.append((_DEADLINE, self.deadline.astimezone(UTC).isoformat()))
        if self.traceparent:
            metadata.append((_TRACEPARENT, self.traceparent))
        return tuple(metadata)

    @staticmethod
    def from_proto(message: envelope_pb2.Envelope, field: str = "envelope") -> "Envelope":
        """Read an envelope of a batch. Raises InvalidField, naming what is inside `field`."""
        environment = message.environment_id
        return Envelope(
            queued_job_id=parse_id(message.queued_job_id, f"{field}.queued_job_id"),
            attempt=message.attempt,
            fencing_token=message.fencing_token,
            environment_id=(
                shared_id(environment, f"{field}.environment_id") if environment else None
            ),
            idempotency_key=message.idempotency_key,
            deadline=(
                from_timestamp(message.deadline_time, f"{field}.deadline_time")
                if message.HasField("deadline_time")
                else None
            ),
            traceparent=message.traceparent,
        )

    def to_proto(self) -> envelope_pb2.Envelope:
        """Write an envelope of a batch."""
        return envelope_pb2.Envelope(
            queued_job_id=id_text(self.queued_job_id),
            attempt=self.attempt,
            fencing_token=self.fencing_token,
            environment_id=id_text(self.environment_id) if self.environment_id is not None else "",
            idempotency_key=self.idempotency_key,
            deadline_time=to_timestamp(self.deadline) if self.deadline is not None else None,
            traceparent=self.traceparent,
        )


def envelopes_of_batch(
    requests: Sequence[object], envelopes: Sequence[envelope_pb2.Envelope]
) -> list[Envelope]:
    """Read the envelopes of a batch: one per request.

    Raises InvalidField when there are fewer or more, or one cannot be read.
    """
    _one_per_request(requests, envelopes)
    return [
        Envelope.from_proto(each, f"envelopes[{index}]") for index, each in enumerate(envelopes)
    ]


def origins_of_batch(
    requests: Sequence[object], envelopes: Sequence[envelope_pb2.Envelope]
) -> list[tuple[UUID | None, str]]:
    """The environment and the traceparent of each request, for methods that ask for no more.

    To read whole envelopes takes 3 us each instead of 0.2. Raises InvalidField as
    `envelopes_of_batch`.
    """
    _one_per_request(requests, envelopes)
    return [
        (
            shared_id(id_, "envelopes.environment_id") if (id_ := each.environment_id) else None,
            each.traceparent,
        )
        for each in envelopes
    ]


def _one_per_request(requests: Sequence[object], envelopes: Sequence[object]) -> None:
    if len(requests) != len(envelopes):
        raise InvalidField("envelopes", f"has {len(envelopes)} items for {len(requests)} requests")


def _number(given: dict[str, str], name: str) -> int:
    text = given.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidField(name, "must be a whole number")
    return int(text)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField(_DEADLINE, "must be a time such as 2024-05-01T12:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
