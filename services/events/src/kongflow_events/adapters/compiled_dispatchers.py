"""Compiled dispatchers, kept between deliveries."""

import logging
from collections import OrderedDict
from typing import Final
from uuid import UUID

from kongflow_events.domain.dispatcher_match import CompiledDispatcher, compile_dispatcher
from kongflow_events.domain.event_dispatcher import EventDispatcher

__all__ = ["CompiledDispatchers", "filter_bytes"]

_logger = logging.getLogger(__name__)

_MAX_DISPATCHERS: Final = 20_000
_MAX_FILTER_BYTES: Final = 16 * 1024 * 1024


class CompiledDispatchers:
    """The least recently used go first, beyond a number of dispatchers or bytes of filters.

    Each change of a dispatcher has a generation of its own, so what is kept never goes stale.
    """

    def __init__(
        self,
        max_dispatchers: int = _MAX_DISPATCHERS,
        max_filter_bytes: int = _MAX_FILTER_BYTES,
    ) -> None:
        self._max_dispatchers = max_dispatchers
        self._max_filter_bytes = max_filter_bytes
        self._kept: OrderedDict[UUID, tuple[int, CompiledDispatcher, int]] = OrderedDict()
        self._filter_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, dispatcher_id: UUID, generation: int) -> CompiledDispatcher | None:
        """The dispatcher as it is in this generation, if it is kept."""
        kept = self._kept.get(dispatcher_id)
        if kept is None or kept[0] != generation:
            return None
        self._kept.move_to_end(dispatcher_id)
        return kept[1]

    def compile(self, dispatcher: EventDispatcher) -> CompiledDispatcher:
        """Compile the dispatcher, unless it is kept."""
        kept = self.get(dispatcher.id, dispatcher.generation)
        if kept is not None:
            return kept
        compiled = compile_dispatcher(dispatcher)
        if compiled.matcher.rejected is not None:
            # Not through an upsert, which checks filters.
            _logger.warning(
                "a stored filter is not valid, so its dispatcher takes nothing: %s",
                compiled.matcher.rejected,
                extra={"fields": {"dispatcher_id": str(dispatcher.id)}},
            )
        self._drop(dispatcher.id)
        size = filter_bytes(dispatcher)
        self._kept[dispatcher.id] = (dispatcher.generation, compiled, size)
        self._filter_bytes += size
        while (
            len(self._kept) > self._max_dispatchers or self._filter_bytes > self._max_filter_bytes
        ):
            self._drop(next(iter(self._kept)))
        return compiled

    def _drop(self, dispatcher_id: UUID) -> None:
        dropped = self._kept.pop(dispatcher_id, None)
        if dropped is not None:
            self._filter_bytes -= dropped[2]


def filter_bytes(dispatcher: EventDispatcher) -> int:
    """How large the filters of a dispatcher are, as they were written."""
    specification = dispatcher.specification
    return sum(
        len(each.text)
        for each in (specification.payload_filter, specification.context_filter)
        if each is not None
    )
