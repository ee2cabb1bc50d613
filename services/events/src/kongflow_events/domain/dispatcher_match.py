"""Which dispatchers take an event: matching in memory, with filters compiled once."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_names import NamePattern, split_names
from kongflow_events.domain.event_record import EventContent, PayloadType
from kongflow_filters import MAX_EVENT_STEPS, EventMatcher, MatchTarget

__all__ = ["STEPS_AT_ONCE", "CompiledDispatcher", "MatchableEvent", "compile_dispatcher"]

STEPS_AT_ONCE: Final = 200_000
"""So many steps filters may take for an event while nothing else is done: about 0.2 s."""


class MatchableEvent:
    """An event as dispatchers see it; its content is read once, and only if one looks at it.

    `at_most` is how many steps the filters of all that are asked may take.
    """

    def __init__(
        self,
        payload_type: PayloadType,
        content: EventContent,
        external_account_id: UUID | None = None,
        *,
        at_most: int = MAX_EVENT_STEPS,
    ) -> None:
        self._payload_type = payload_type
        self._at_most = at_most
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
            of_type = (
                MatchTarget.of_request
                if self._payload_type is PayloadType.REQUEST
                else MatchTarget.of_json
            )
            self._whole = of_type(payload, context, account, size=size, at_most=self._at_most)
        return self._whole

    @property
    def cost(self) -> int:
        """How many steps the filters that were asked have taken, by and large."""
        effort = self._whole.effort if self._whole is not None else None
        return effort.cost if effort is not None else 0

    @property
    def is_exhausted(self) -> bool:
        """Whether filters were given up because all together asked too much of it."""
        effort = self._whole.effort if self._whole is not None else None
        return effort is not None and effort.is_used_up


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
