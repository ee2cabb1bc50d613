"""Which dispatchers take an event: matching in memory, with filters compiled once."""

from dataclasses import dataclass
from uuid import UUID

from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_names import NamePattern, split_names
from kongflow_events.domain.event_record import EventContent, PayloadType
from kongflow_filters import EventMatcher, MatchTarget

__all__ = ["CompiledDispatcher", "MatchableEvent", "compile_dispatcher"]


class MatchableEvent:
    """An event as dispatchers see it; its content is read once, and only if one looks at it."""

    def __init__(
        self,
        payload_type: PayloadType,
        content: EventContent,
        external_account_id: UUID | None = None,
    ) -> None:
        self._payload_type = payload_type
        self._content = content
        self._external_account_id = external_account_id
        self._whole: MatchTarget | None = None

    @property
    def outside(self) -> MatchTarget:
        """The event without its content."""
        return MatchTarget(None, None, self._external_account_id)

    @property
    def whole(self) -> MatchTarget:
        """The event with its content."""
        if self._whole is None:
            payload = self._content.payload.load()
            context = self._content.context.load()
            account = self._external_account_id
            size = len(self._content.payload.text) + len(self._content.context.text)
            if self._payload_type is PayloadType.REQUEST:
                self._whole = MatchTarget.of_request(payload, context, account, size)
            else:
                self._whole = MatchTarget(payload, context, account, size=size)
        return self._whole


@dataclass(frozen=True, slots=True)
class CompiledDispatcher:
    """A dispatcher that is ready to be asked about events."""

    id: UUID
    environment_id: UUID
    event_names: tuple[str, ...]
    name_patterns: tuple[NamePattern, ...]
    source: str
    matcher: EventMatcher
    looks_inside: bool
    """Whether it has a filter, so that the content of events matters."""

    def takes_name(self, name: str) -> bool:
        """Whether events of this name are meant."""
        return name in self.event_names or any(
            each.wildcard.matches(name) for each in self.name_patterns
        )

    def takes(self, event: MatchableEvent) -> bool:
        """Whether it takes the event, whose name and source are known to fit."""
        return self.matcher.matches(event.whole if self.looks_inside else event.outside)


def compile_dispatcher(dispatcher: EventDispatcher) -> CompiledDispatcher:
    """Compile the filters; one that is not valid makes a dispatcher that takes nothing."""
    specification = dispatcher.specification
    payload_filter, context_filter = specification.payload_filter, specification.context_filter
    event_names, name_patterns = split_names(specification.event_names, specification.name_match)
    return CompiledDispatcher(
        id=dispatcher.id,
        environment_id=dispatcher.environment_id,
        event_names=event_names,
        name_patterns=name_patterns,
        source=specification.source,
        matcher=EventMatcher(
            payload_filter.load() if payload_filter is not None else None,
            context_filter.load() if context_filter is not None else None,
            dispatcher.external_account_id,
        ),
        looks_inside=payload_filter is not None or context_filter is not None,
    )
