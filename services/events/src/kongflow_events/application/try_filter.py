"""Asks filters about a sample of an event, which is stored nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_events.application.checked_filter import check_filter
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.event_record import EventContent, PayloadType
from kongflow_events.domain.match_explanation import MatchExplanation, explain_filters

__all__ = ["FilterVerdict", "TriedFilters", "TryFilter"]


@dataclass(frozen=True, slots=True)
class TriedFilters:
    """The filters of a dispatcher that is not stored, or not yet."""

    payload_filter: JsonDocument | None
    context_filter: JsonDocument | None

    def check(self) -> Sequence[str]:
        """What is accepted but probably not meant. Raises InvalidField."""
        if self.payload_filter is None and self.context_filter is None:
            raise InvalidField("payload_filter", "is required, or context_filter")
        return [
            *check_filter(self.payload_filter, "payload_filter"),
            *check_filter(self.context_filter, "context_filter"),
        ]


@dataclass(frozen=True, slots=True)
class FilterVerdict:
    """Without an explanation the filters hold."""

    explanation: MatchExplanation | None
    warnings: Sequence[str]


class TryFilter:
    """Says whether filters hold for a sample and, if not, why. Raises InvalidField."""

    async def __call__(
        self, filters: TriedFilters, payload_type: PayloadType, content: EventContent
    ) -> FilterVerdict:
        """What a dispatcher of these filters would make of the event."""
        warnings = filters.check()
        event = MatchableEvent(payload_type, content)
        explanation = explain_filters(event, filters.payload_filter, filters.context_filter)
        return FilterVerdict(explanation, warnings)
