"""The dispatchers of one environment in memory, found by the name, source and content of an event.

Of many dispatchers that wait for one name, most demand that some place holds one of a few values:
`{"customer": ["c-1042"]}`. These stand in a table by place and value; an event looks up the values
that it has at each place, and so asks only those whose demand it meets, and those without one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from uuid import UUID

from kongflow_events.domain.dispatcher_match import (
    STEPS_AT_ONCE,
    CompiledDispatcher,
    MatchableEvent,
)
from kongflow_events.domain.event_names import NamePattern, NameTable
from kongflow_filters import Path, Scalar, scalars_at

__all__ = ["DispatcherIndex", "MatchedDispatchers"]

_MOST_PLACES: Final = 32
"""Of one name: an event is looked into at each of them."""

_Dispatchers: TypeAlias = dict[UUID, CompiledDispatcher]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in an event a demanded value stands."""

    in_context: bool
    path: Path


_Demand: TypeAlias = tuple[_Place, frozenset[Scalar]]


@dataclass(frozen=True, slots=True)
class MatchedDispatchers:
    """The dispatchers that take an event, as of a version of its environment's dispatchers."""

    version: int
    dispatcher_ids: Sequence[UUID]


@dataclass(slots=True)
class DispatcherIndex:
    """Those that are enabled and not manual, as of `version`; -1 before anything is known."""

    version: int = -1
    size: int = 0
    """The bytes of the filters."""
    _by_id: dict[UUID, tuple[CompiledDispatcher, int]] = field(default_factory=dict)
    _by_name: dict[tuple[str, str], "_Waiting"] = field(default_factory=dict)
    _by_pattern: dict[str, NameTable["_Waiting"]] = field(default_factory=dict)
    """By source; each holds by pattern."""

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, dispatcher: CompiledDispatcher, size: int) -> None:
        """Holds a dispatcher, in place of what it was before."""
        self.remove(dispatcher.id)
        self._by_id[dispatcher.id] = (dispatcher, size)
        self.size += size
        for name in set(dispatcher.event_names):
            self._by_name.setdefault((name, dispatcher.source), _Waiting()).put(dispatcher)
        for pattern in set(dispatcher.name_patterns):
            self._put_pattern(pattern, dispatcher)

    def remove(self, dispatcher_id: UUID) -> None:
        """Holds it no more; it need not have been there."""
        held = self._by_id.pop(dispatcher_id, None)
        if held is None:
            return
        dispatcher, size = held
        self.size -= size
        for name in set(dispatcher.event_names):
            waiting = self._by_name[name, dispatcher.source]
            waiting.remove(dispatcher_id)
            if not len(waiting):
                del self._by_name[name, dispatcher.source]
        for pattern in set(dispatcher.name_patterns):
            self._remove_pattern(pattern, dispatcher)

    def _put_pattern(self, pattern: NamePattern, dispatcher: CompiledDispatcher) -> None:
        table = self._by_pattern.setdefault(dispatcher.source, NameTable())
        waiting = table.get(pattern)
        if waiting is None:
            waiting = _Waiting()
            table.put(pattern, waiting)
        waiting.put(dispatcher)

    def _remove_pattern(self, pattern: NamePattern, dispatcher: CompiledDispatcher) -> None:
        table = self._by_pattern[dispatcher.source]
        waiting = table.get(pattern)
        if waiting is None:
            return
        waiting.remove(dispatcher.id)
        if not len(waiting):
            table.remove(pattern)
        if not table:
            del self._by_pattern[dispatcher.source]

    def match(
        self, name: str, source: str, event: MatchableEvent, *, at_most: int
    ) -> MatchedDispatchers | None:
        """Those that take the event.

        None when more than `at_most` would have to be asked, or these ask so much of the event that
        nothing else would be done for long.
        """
        waiting = self._waiting(name, source, at_most)
        if waiting is None:
            return None
        if not waiting:
            return MatchedDispatchers(self.version, ())
        if len(waiting) == 1:
            candidates = waiting[0].candidates(event, at_most)
        else:
            candidates = _candidates_of_all(waiting, event, at_most)
        if candidates is None:
            return None
        taking: list[UUID] = []
        for each in candidates:
            if each.takes(event):
                taking.append(each.id)
            if event.cost >= STEPS_AT_ONCE:
                return None
        return MatchedDispatchers(self.version, taking)

    def _waiting(self, name: str, source: str, at_most: int) -> list["_Waiting"] | None:
        """What waits for the name, under it or a pattern that it is of."""
        exact = self._by_name.get((name, source))
        found = [exact] if exact is not None else []
        table = self._by_pattern.get(source)
        if table is None:
            return found
        of_patterns = table.find(name, at_most=at_most)
        return None if of_patterns is None else [*found, *of_patterns]


def _candidates_of_all(
    waiting: Sequence["_Waiting"], event: MatchableEvent, at_most: int
) -> Sequence[CompiledDispatcher] | None:
    """Each once, as one may wait for several patterns that a name is of."""
    merged: _Dispatchers = {}
    for each in waiting:
        candidates = each.candidates(event, at_most)
        if candidates is None:
            return None
        merged.update({candidate.id: candidate for candidate in candidates})
        if len(merged) > at_most:
            return None
    return list(merged.values())


class _Waiting:
    """The dispatchers that wait for one name and source."""

    __slots__ = ("_anything", "_demands", "_places")

    def __init__(self) -> None:
        self._anything: _Dispatchers = {}
        """Those that have to be asked about every event."""
        self._places: dict[_Place, dict[Scalar, _Dispatchers]] = {}
        self._demands: dict[UUID, _Demand] = {}
        """Under what each of the others stands."""

    def __len__(self) -> int:
        return len(self._anything) + len(self._demands)

    def put(self, dispatcher: CompiledDispatcher) -> None:
        demand = self._best_demand(dispatcher)
        if demand is None:
            self._anything[dispatcher.id] = dispatcher
            return
        place, scalars = demand
        self._demands[dispatcher.id] = demand
        at_place = self._places.setdefault(place, {})
        for scalar in scalars:
            at_place.setdefault(scalar, {})[dispatcher.id] = dispatcher

    def remove(self, dispatcher_id: UUID) -> None:
        if self._anything.pop(dispatcher_id, None) is not None:
            return
        place, scalars = self._demands.pop(dispatcher_id)
        at_place = self._places[place]
        for scalar in scalars:
            of_scalar = at_place[scalar]
            del of_scalar[dispatcher_id]
            if not of_scalar:
                del at_place[scalar]
        if not at_place:
            del self._places[place]

    def candidates(
        self, event: MatchableEvent, at_most: int
    ) -> Sequence[CompiledDispatcher] | None:
        """Those that may take the event, each once; None when they are more than `at_most`."""
        found: list[_Dispatchers] = [self._anything]
        count = len(self._anything)
        if self._places and count <= at_most:
            target = event.whole
            for place, by_scalar in self._places.items():
                inside = target.context if place.in_context else target.payload
                for scalar in set(scalars_at(inside, place.path)):
                    of_scalar = by_scalar.get(scalar)
                    if of_scalar is not None:
                        found.append(of_scalar)
                        count += len(of_scalar)
        if count > at_most:
            return None
        if len(found) == 1:
            return list(self._anything.values())
        merged: _Dispatchers = {}
        for each in found:
            merged.update(each)
        return list(merged.values())

    def _best_demand(self, dispatcher: CompiledDispatcher) -> _Demand | None:
        """The demand that the fewest others share: what all have in common tells nothing."""
        best: _Demand | None = None
        fewest = -1
        for place, scalars in _demands(dispatcher):
            at_place = self._places.get(place)
            if at_place is None:
                if len(self._places) >= _MOST_PLACES:
                    continue
                shared = 0
            else:
                shared = max((len(at_place.get(each, ())) for each in scalars), default=0)
            if best is None or shared < fewest:
                best, fewest = (place, scalars), shared
        return best


def _demands(dispatcher: CompiledDispatcher) -> Iterator[_Demand]:
    for each in dispatcher.matcher.payload_equalities:
        yield _Place(False, each.path), each.scalars
    for each in dispatcher.matcher.context_equalities:
        yield _Place(True, each.path), each.scalars
