"""The dispatchers of one environment in memory, found by the name and source of an event."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from kongflow_events.domain.dispatcher_match import CompiledDispatcher, MatchableEvent

__all__ = ["DispatcherIndex", "MatchedDispatchers"]

_Name: TypeAlias = tuple[str, str]
"""Name and source of an event."""


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
    _by_name: dict[_Name, dict[UUID, CompiledDispatcher]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, dispatcher: CompiledDispatcher, size: int) -> None:
        """Holds a dispatcher, in place of what it was before."""
        self.remove(dispatcher.id)
        self._by_id[dispatcher.id] = (dispatcher, size)
        self.size += size
        for name in _names(dispatcher):
            self._by_name.setdefault(name, {})[dispatcher.id] = dispatcher

    def remove(self, dispatcher_id: UUID) -> None:
        """Holds it no more; it need not have been there."""
        held = self._by_id.pop(dispatcher_id, None)
        if held is None:
            return
        dispatcher, size = held
        self.size -= size
        for name in _names(dispatcher):
            of_name = self._by_name[name]
            del of_name[dispatcher_id]
            if not of_name:
                del self._by_name[name]

    def candidates(self, name: str, source: str) -> Collection[CompiledDispatcher]:
        """Those that wait for events of this name and source."""
        of_name = self._by_name.get((name, source))
        return of_name.values() if of_name is not None else ()

    def match(
        self, name: str, source: str, event: MatchableEvent, *, at_most: int
    ) -> MatchedDispatchers | None:
        """Those that take the event; None when more than `at_most` would have to be asked."""
        candidates = self.candidates(name, source)
        if len(candidates) > at_most:
            return None
        taking = [each.id for each in candidates if each.takes(event)]
        return MatchedDispatchers(self.version, taking)


def _names(dispatcher: CompiledDispatcher) -> Iterable[_Name]:
    return {(name, dispatcher.source) for name in dispatcher.event_names}
