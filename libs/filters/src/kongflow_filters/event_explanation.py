"""Why the conditions of a dispatcher do not hold for an event. Pure, as EventMatcher is.

Agrees with EventMatcher, which is quicker. The rules are in docs/behaviour/filters.md#explain.
"""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from kongflow_filters.event_filter import InvalidFilter, parse_filter
from kongflow_filters.event_matcher import MatchTarget, explain_members
from kongflow_filters.explanation import Mismatch

__all__ = ["EventMismatch", "EventMismatchReason", "explain_event"]


class EventMismatchReason(Enum):
    """Which of a dispatcher's conditions does not hold."""

    ACCOUNT = "account"
    INVALID_FILTER = "invalid_filter"
    UNMATCHABLE = "unmatchable"
    PAYLOAD_FILTER = "payload_filter"
    CONTEXT_FILTER = "context_filter"


@dataclass(frozen=True, slots=True)
class EventMismatch:
    """The first condition that does not hold, in the order of the reasons.

    `mismatch` says where of a filter that does not hold; `message`, a sentence without its full
    stop, what is wrong with a filter that is none or with an event that no filter holds for.
    """

    reason: EventMismatchReason
    mismatch: Mismatch | None = None
    message: str = ""


def explain_event(
    target: MatchTarget,
    payload_filter: object = None,
    context_filter: object = None,
    external_account_id: UUID | None = None,
) -> EventMismatch | None:
    """Why a dispatcher of these conditions does not take the event; None when it does.

    The conditions are those of EventMatcher.
    """
    if external_account_id is not None and external_account_id != target.external_account_id:
        return EventMismatch(EventMismatchReason.ACCOUNT)
    if payload_filter is None and context_filter is None:
        return None
    try:
        payload = parse_filter({} if payload_filter is None else payload_filter, "payload_filter")
        context = parse_filter({} if context_filter is None else context_filter, "context_filter")
    except InvalidFilter as error:
        return EventMismatch(EventMismatchReason.INVALID_FILTER, message=str(error))
    if target.unmatchable:
        return EventMismatch(EventMismatchReason.UNMATCHABLE, message=target.unmatchable)
    found = explain_members(target, payload, context)
    if found is None:
        return None
    of_payload, mismatch = found
    if of_payload:
        return EventMismatch(EventMismatchReason.PAYLOAD_FILTER, mismatch)
    return EventMismatch(EventMismatchReason.CONTEXT_FILTER, mismatch)
