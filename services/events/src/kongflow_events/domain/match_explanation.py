"""Why a dispatcher does not take an event: pure rules, of one mind with delivery."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kongflow_common.payload import JsonDocument
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_names import NameMatch
from kongflow_events.domain.event_record import EventRecord
from kongflow_filters import (
    MISSING,
    EventMismatchReason,
    Mismatch,
    MismatchKind,
    explain_event,
)

__all__ = ["DispatcherVerdict", "MatchExplanation", "Unmatched", "explain_filters", "judge"]


class Unmatched(Enum):
    """Which condition of a dispatcher does not hold, in the order in which they are asked."""

    NAME = "name"
    SOURCE = "source"
    DISABLED = "disabled"
    MANUAL = "manual"
    ACCOUNT = "account"
    INVALID_FILTER = "invalid_filter"
    UNREADABLE_REQUEST = "unreadable_request"
    PAYLOAD_FILTER = "payload_filter"
    CONTEXT_FILTER = "context_filter"


@dataclass(frozen=True, slots=True)
class MatchExplanation:
    """The first condition that does not hold.

    `mismatch` is the place in the event, where one is meant; `message` what is wrong with a
    stored filter or with the event.
    """

    reason: Unmatched
    mismatch: Mismatch | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class DispatcherVerdict:
    """What a dispatcher, as it is now, makes of an event; without an explanation it takes it.

    `changed_since`: it changed after the event was matched.
    """

    dispatcher: EventDispatcher
    explanation: MatchExplanation | None
    changed_since: bool


_REASONS: Final[Mapping[EventMismatchReason, Unmatched]] = {
    EventMismatchReason.ACCOUNT: Unmatched.ACCOUNT,
    EventMismatchReason.INVALID_FILTER: Unmatched.INVALID_FILTER,
    EventMismatchReason.UNMATCHABLE: Unmatched.UNREADABLE_REQUEST,
    EventMismatchReason.PAYLOAD_FILTER: Unmatched.PAYLOAD_FILTER,
    EventMismatchReason.CONTEXT_FILTER: Unmatched.CONTEXT_FILTER,
}


def judge(
    record: EventRecord, event: MatchableEvent, dispatcher: EventDispatcher
) -> DispatcherVerdict:
    """What the dispatcher makes of the event, which is the record's."""
    processed_at = record.processed_at
    return DispatcherVerdict(
        dispatcher,
        _explain(record, event, dispatcher),
        changed_since=processed_at is not None and dispatcher.updated_at > processed_at,
    )


def explain_filters(
    event: MatchableEvent,
    payload_filter: JsonDocument | None,
    context_filter: JsonDocument | None,
) -> MatchExplanation | None:
    """Why the filters do not hold for the event; None when they do."""
    found = explain_event(
        event.outside if payload_filter is None and context_filter is None else event.whole,
        payload_filter.load() if payload_filter is not None else None,
        context_filter.load() if context_filter is not None else None,
    )
    if found is None:
        return None
    return MatchExplanation(_REASONS[found.reason], found.mismatch, found.message)


def _explain(
    record: EventRecord, event: MatchableEvent, dispatcher: EventDispatcher
) -> MatchExplanation | None:
    specification = dispatcher.specification
    if not specification.takes_name(record.name):
        operator = "wildcard" if specification.name_match is NameMatch.WILDCARD else ""
        return _differs(Unmatched.NAME, "name", specification.event_names, record.name, operator)
    if record.source != specification.source:
        return _differs(Unmatched.SOURCE, "source", (specification.source,), record.source)
    if not specification.enabled:
        return MatchExplanation(Unmatched.DISABLED)
    if specification.manual:
        return MatchExplanation(Unmatched.MANUAL)
    account = dispatcher.external_account_id
    if account is not None and account != record.external_account_id:
        found = record.account_id if record.account_id is not None else MISSING
        return _differs(Unmatched.ACCOUNT, "account_id", (dispatcher.account_id,), found)
    return explain_filters(event, specification.payload_filter, specification.context_filter)


def _differs(
    reason: Unmatched,
    path: str,
    wanted: tuple[str | None, ...],
    found: object,
    operator: str = "",
) -> MatchExplanation:
    mismatch = Mismatch((path,), MismatchKind.CONDITION, operator, wanted, found)
    return MatchExplanation(reason, mismatch)
