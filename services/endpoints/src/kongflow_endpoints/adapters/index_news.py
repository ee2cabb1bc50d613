"""What the others are told of endpoint indexes."""

from uuid import UUID

from kongflow_common.eventing.declared_data import EndpointIndexed, EndpointIndexFailed
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.publisher import IntegrationEvents
from kongflow_common.outbox.message import OutboxMessage
from kongflow_endpoints.domain.endpoint import IndexFailure

__all__ = ["INDEX_FAILURE", "INDEX_SUCCESS", "IndexNews"]

INDEX_SUCCESS = DECLARED_TYPES["endpoint.index.success"]
INDEX_FAILURE = DECLARED_TYPES["endpoint.index.failure"]

_LONGEST_MESSAGE = 1_000


class IndexNews:
    """Makes what says that indexes have ended."""

    def __init__(self, events: IntegrationEvents) -> None:
        self._events = events

    async def wanted(self, type_: EventType) -> bool:
        """Whether anybody consumes events of the type; they are logged anyway."""
        return await self._events.wanted(type_)

    def succeeded(
        self, environment_id: UUID, index_id: UUID, endpoint_id: UUID, statistics: dict[str, object]
    ) -> PublishedEvent:
        """Says that an index has ended well, with what it found."""
        return self._events.event(
            INDEX_SUCCESS,
            str(index_id),
            EndpointIndexed(endpoint_id=str(endpoint_id), statistics=statistics),
            belonging=Belonging(environment_id),
        )

    def failed(
        self, environment_id: UUID, index_id: UUID, endpoint_id: UUID, failure: IndexFailure
    ) -> PublishedEvent:
        """Says that an index has failed, and why."""
        return self._events.event(
            INDEX_FAILURE,
            str(index_id),
            EndpointIndexFailed(endpoint_id=str(endpoint_id), message=_shortened(failure.message)),
            belonging=Belonging(environment_id),
        )

    def enqueued(self, event: PublishedEvent) -> OutboxMessage:
        """The message to those who consume it."""
        return self._events.enqueued(event)


def _shortened(message: str) -> str:
    # Programs have a say in it, and jsonb holds no NUL.
    return message[:_LONGEST_MESSAGE].replace("\x00", "\ufffd")
