"""Explanations between the wire and the program."""

from collections.abc import Mapping
from typing import Final, Protocol

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2, match_explanation_pb2
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import bounded_int, optional_enum
from kongflow_common.rpc.payload_mapping import from_payload, to_payload
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_events.application.backtest_filter import Backtest
from kongflow_events.application.try_filter import FilterVerdict, TriedFilters
from kongflow_events.domain.event_record import EventContent, PayloadType
from kongflow_events.domain.match_explanation import (
    DispatcherVerdict,
    MatchExplanation,
    Unmatched,
)
from kongflow_events.rpc.event_mapping import PAYLOAD_TYPES, to_document
from kongflow_filters import MISSING, MismatchKind, excerpt

__all__ = [
    "to_backtest",
    "to_filter_verdict",
    "to_max_events",
    "to_sample",
    "to_tried_filters",
    "to_verdict",
]

_Explanation = match_explanation_pb2.MatchExplanation
_Shown = match_explanation_pb2.ShownValue

_LONGEST_SHOWN: Final = 1_000
_DEFAULT_EVENTS: Final = 100
_MAX_EVENTS: Final = 1_000

_REASONS: Final[Mapping[Unmatched, _Explanation.Reason.ValueType]] = {
    Unmatched.NAME: _Explanation.REASON_NAME,
    Unmatched.SOURCE: _Explanation.REASON_SOURCE,
    Unmatched.DISABLED: _Explanation.REASON_DISABLED,
    Unmatched.MANUAL: _Explanation.REASON_MANUAL,
    Unmatched.ACCOUNT: _Explanation.REASON_ACCOUNT,
    Unmatched.INVALID_FILTER: _Explanation.REASON_INVALID_FILTER,
    Unmatched.UNREADABLE_REQUEST: _Explanation.REASON_UNREADABLE_REQUEST,
    Unmatched.PAYLOAD_FILTER: _Explanation.REASON_PAYLOAD_FILTER,
    Unmatched.CONTEXT_FILTER: _Explanation.REASON_CONTEXT_FILTER,
}
_KINDS: Final[Mapping[MismatchKind, _Explanation.Kind.ValueType]] = {
    MismatchKind.CONDITION: _Explanation.KIND_CONDITION,
    MismatchKind.NO_ELEMENT: _Explanation.KIND_NO_ELEMENT,
    MismatchKind.NO_MEMBERS: _Explanation.KIND_NO_MEMBERS,
    MismatchKind.UNREADABLE: _Explanation.KIND_UNREADABLE,
    MismatchKind.TOO_LARGE: _Explanation.KIND_TOO_LARGE,
}


class _WithFilters(Protocol):
    """A request that has both filters."""

    @property
    def payload_filter(self) -> Payload: ...

    @property
    def context_filter(self) -> Payload: ...


def to_tried_filters(request: _WithFilters) -> TriedFilters:
    """Read filters that are not stored. Raises InvalidField."""
    return TriedFilters(
        payload_filter=from_payload(request.payload_filter, "payload_filter"),
        context_filter=from_payload(request.context_filter, "context_filter"),
    )


def to_sample(
    request: events_service_pb2.TestFilterRequest,
) -> tuple[PayloadType, EventContent]:
    """Read the sample of an event, as an event that is sent is read. Raises InvalidField."""
    event = request.event
    payload_type = optional_enum(event.payload_type, "event.payload_type", PAYLOAD_TYPES)
    content = EventContent()
    return payload_type or PayloadType.JSON, EventContent(
        payload=to_document(event, "payload") or content.payload,
        context=to_document(event, "context") or content.context,
    )


def to_max_events(request: events_service_pb2.BacktestFilterRequest) -> int:
    """Read how many events are wanted. Raises InvalidField."""
    return (
        bounded_int(request.max_events, "max_events", at_least=0, at_most=_MAX_EVENTS)
        or _DEFAULT_EVENTS
    )


def to_verdict(verdict: DispatcherVerdict) -> match_explanation_pb2.DispatcherVerdict:
    """Write what a dispatcher makes of an event."""
    message = match_explanation_pb2.DispatcherVerdict(
        dispatcher_id=str(verdict.dispatcher.id),
        dispatchable_id=verdict.dispatcher.dispatchable_id,
        matched=verdict.explanation is None,
        changed_since=verdict.changed_since,
    )
    if verdict.explanation is not None:
        message.explanation.CopyFrom(_to_explanation(verdict.explanation))
    return message


def to_filter_verdict(verdict: FilterVerdict) -> events_service_pb2.TestFilterResponse:
    """Write what filters say of a sample."""
    message = events_service_pb2.TestFilterResponse(
        matched=verdict.explanation is None, warnings=verdict.warnings
    )
    if verdict.explanation is not None:
        message.explanation.CopyFrom(_to_explanation(verdict.explanation))
    return message


def to_backtest(backtest: Backtest) -> events_service_pb2.BacktestFilterResponse:
    """Write what filters would have taken."""
    message = events_service_pb2.BacktestFilterResponse(
        examined_count=backtest.examined,
        matched_count=len(backtest.matched),
        matched_event_record_ids=map(str, backtest.matched),
        out_of_time=backtest.out_of_time_at is not None,
        warnings=backtest.warnings,
    )
    if backtest.oldest is not None:
        message.oldest_create_time.CopyFrom(to_timestamp(backtest.oldest))
    if backtest.out_of_time_at is not None:
        message.searched_back_to_time.CopyFrom(to_timestamp(backtest.out_of_time_at))
    return message


def _to_explanation(explanation: MatchExplanation) -> _Explanation:
    message = _Explanation(reason=_REASONS[explanation.reason], message=explanation.message)
    mismatch = explanation.mismatch
    if mismatch is not None:
        message.kind = _KINDS[mismatch.kind]
        message.path = mismatch.path
        message.operator = mismatch.operator
        if mismatch.kind is not MismatchKind.TOO_LARGE:
            message.wanted.CopyFrom(_to_shown(mismatch.wanted))
        if mismatch.kind not in {MismatchKind.UNREADABLE, MismatchKind.TOO_LARGE}:
            message.found.CopyFrom(_to_shown(mismatch.found))
    return message


def _to_shown(value: object) -> _Shown:
    if value is MISSING:
        return _Shown(missing=True)
    shown = excerpt(value, _LONGEST_SHOWN)
    if not shown.is_whole:
        return _Shown(beginning=shown.text)
    if not shown.is_document:
        return _Shown(described=shown.text)
    return _Shown(whole=to_payload(JsonDocument(shown.text.encode())))
