"""Says whether a dispatcher takes an event. Pure: no I/O, and nothing raises for bad data.

The rules are in docs/behaviour/filters.md#dispatchers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, cast
from uuid import UUID

from kongflow_filters.compiled_filter import CompiledFilter
from kongflow_filters.effort import MAX_EVENT_STEPS, TINY_STEPS, UNCOUNTED_STEPS, Effort
from kongflow_filters.equalities import Equality, equalities
from kongflow_filters.event_filter import EventFilter, InvalidFilter, parse_filter
from kongflow_filters.explanation import Mismatch, explain_member, weight_of
from kongflow_filters.text_reader import PER_STEP
from kongflow_filters.text_weight import TextWeight, text_weight_of

__all__ = ["EventMatcher", "MatchTarget", "explain_members"]

_JSON_CONTENT_TYPE: Final = "application/json"
_EXACT_DIGITS: Final = 15
# Filters that ask no more of each value look at no list but one that is the whole document.
_LIGHT: Final = 3
_TINY_READING: Final = TINY_STEPS * PER_STEP


@dataclass(frozen=True, slots=True)
class MatchTarget:
    """What filters see of one event; made once and shown to every candidate.

    `unmatchable` is why no filter can hold for the event; empty when filters can. `effort` is how
    much filters may ask of it; None where nobody minds how long a match takes.
    """

    payload: object
    context: object
    external_account_id: UUID | None = None
    unmatchable: str = ""
    effort: Effort | None = field(default=None, compare=False)

    @classmethod
    def of_json(
        cls,
        payload: object,
        context: object,
        external_account_id: UUID | None = None,
        *,
        size: int,
        at_most: int = MAX_EVENT_STEPS,
    ) -> "MatchTarget":
        """The target of an event whose payload is as it stands.

        `size` is how long payload and context are as JSON, and `at_most` how many steps filters
        may take.
        """
        effort = Effort(size, payload, context, at_most=at_most)
        return cls(payload, context, external_account_id, effort=effort)

    @classmethod
    def of_request(
        cls,
        payload: object,
        context: object,
        external_account_id: UUID | None = None,
        *,
        size: int | None = None,
        at_most: int = MAX_EVENT_STEPS,
    ) -> "MatchTarget":
        """The target of an event whose payload is a REQUEST: {url, method, headers, rawBody}.

        With a JSON content type filters see `body`, the parsed body, else `rawBody`.
        See docs/behaviour/filters.md#requests.
        """
        request = _read_request(payload)
        if request is None:
            return cls({}, context, external_account_id, "the payload is not a request")
        headers = cast("dict[str, str]", request["headers"])
        if _JSON_CONTENT_TYPE in headers.get("content-type", ""):
            try:
                request["body"] = _parse_body(cast("str", request.pop("rawBody")))
            except (ValueError, RecursionError):
                reason = "the request says that its body is JSON, but it is not"
                return cls({}, context, external_account_id, reason)
        if size is None:
            return cls(request, context, external_account_id)
        return cls.of_json(request, context, external_account_id, size=size, at_most=at_most)


class EventMatcher:
    """The conditions of one dispatcher, compiled once.

    `payload_filter` and `context_filter` are JSON values as they were written; None means that
    there is none. `external_account_id` restricts the dispatcher to events of that account.
    `rejected` is what is wrong with a filter that is not valid; such a dispatcher takes nothing.
    `payload_equalities` and `context_equalities` are what the filters demand by equality.
    """

    __slots__ = (
        "_context",
        "_external_account_id",
        "_of_characters",
        "_payload",
        "_texts",
        "_walked",
        "_weight",
        "context_equalities",
        "payload_equalities",
        "rejected",
    )

    def __init__(
        self,
        payload_filter: object = None,
        context_filter: object = None,
        external_account_id: UUID | None = None,
    ) -> None:
        self._external_account_id = external_account_id
        self._payload: CompiledFilter | None = None
        self._context: CompiledFilter | None = None
        self._weight = 0
        self._texts = TextWeight()
        self._of_characters = 0
        self._walked: tuple[EventFilter, EventFilter] | None = None
        self.rejected: InvalidFilter | None = None
        self.payload_equalities: Sequence[Equality] = ()
        self.context_equalities: Sequence[Equality] = ()
        if payload_filter is None and context_filter is None:
            return
        try:
            payload = parse_filter({} if payload_filter is None else payload_filter, "payload")
            context = parse_filter({} if context_filter is None else context_filter, "context")
        except InvalidFilter as error:
            self.rejected = error
            return
        self._payload = CompiledFilter(payload)
        self._context = CompiledFilter(context)
        self._weight = weight_of(payload) + weight_of(context)
        self._texts = text_weight_of(payload) + text_weight_of(context)
        self._of_characters = self._texts.most
        if self._weight > _LIGHT or self._of_characters:
            self._walked = payload, context
        self.payload_equalities = tuple(equalities(payload.tree))
        self.context_equalities = tuple(equalities(context.tree))

    def matches(self, target: MatchTarget) -> bool:
        """Whether the dispatcher takes the event. See docs/behaviour/filters.md#dispatchers."""
        account = self._external_account_id
        if account is not None and account != target.external_account_id:
            return False
        if self._payload is None or self._context is None:
            return self.rejected is None
        if target.unmatchable:
            return False
        effort = target.effort
        # Most are told apart without a call.
        if (
            effort is not None
            and (
                self._weight * effort.values > TINY_STEPS
                or (self._of_characters and self._of_characters * effort.size > _TINY_READING)
            )
            and effort.counts(self._weight, self._texts)
        ):
            if self._walked is not None:
                payload, context = self._walked
                return explain_members(target, payload, context, effort) is None
            steps = self._weight * (_length(target.payload) + _length(target.context))
            if steps > UNCOUNTED_STEPS and not effort.spend(steps):
                return False
        return self._payload.matches_member(target.payload) and self._context.matches_member(
            target.context
        )


def explain_members(
    target: MatchTarget,
    payload_filter: EventFilter,
    context_filter: EventFilter,
    effort: Effort | None = None,
) -> tuple[bool, Mismatch] | None:
    """Which filter does not hold, the one of the payload or not, and why; None when both do.

    Without an `effort` they are asked alone, whatever other filters ask of the event.
    """
    mismatch = explain_member(payload_filter, target.payload, "payload", effort)
    if mismatch is not None:
        return True, mismatch
    mismatch = explain_member(context_filter, target.context, "context", effort)
    return (False, mismatch) if mismatch is not None else None


def _length(document: object) -> int:
    return len(cast("list[object]", document)) if type(document) is list else 1


def _read_request(payload: object) -> dict[str, object] | None:
    """The request without what does not belong to one; None when it is no request."""
    if type(payload) is not dict:
        return None
    members = cast("dict[str, object]", payload)
    request = {name: members.get(name) for name in ("url", "method", "rawBody")}
    headers = members.get("headers")
    if type(headers) is not dict or not all(type(each) is str for each in request.values()):
        return None
    if not all(type(each) is str for each in headers.values()):
        return None
    request["headers"] = headers
    return request


def _parse_body(text: str) -> object:
    """`JSON.parse`. Raises ValueError, or RecursionError for a body that is nested too deeply."""
    return cast(
        "object", json.loads(text, parse_int=_parse_integer, parse_constant=_refuse_constant)
    )


def _parse_integer(digits: str) -> float:
    # float() rounds as JavaScript does and, unlike int(), takes any number of digits.
    return int(digits) if len(digits) <= _EXACT_DIGITS else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
