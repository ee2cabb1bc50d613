"""A dispatcher: which events start what. Pure rules over frozen values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.domain.dispatchable import UnparsableDispatchable, parse_dispatchable
from kongflow_events.domain.event_names import NameMatch, split_names

__all__ = ["FIRST_GENERATION", "DispatcherSpecification", "EventDispatcher"]

FIRST_GENERATION: Final = 1


@dataclass(frozen=True, slots=True)
class DispatcherSpecification:
    """What a dispatcher holds besides its identity; an upsert replaces all of it.

    A filter that is None takes everything. `dispatchable` is kept as it is stored, because a
    row may hold a kind that this version does not know.
    """

    event_names: tuple[str, ...]
    source: str
    payload_filter: JsonDocument | None
    context_filter: JsonDocument | None
    manual: bool
    enabled: bool
    dispatchable: JsonDocument
    name_match: NameMatch = NameMatch.EXACT

    def takes_name(self, name: str) -> bool:
        """Whether events of this name are meant."""
        literal, patterns = split_names(self.event_names, self.name_match)
        return name in literal or any(each.wildcard.matches(name) for each in patterns)


@dataclass(frozen=True, slots=True)
class EventDispatcher:
    """A dispatcher as it is stored.

    `account_id` is the sender's name of the account it is restricted to,
    `external_account_id` its row. `generation` grows with each change.
    """

    id: UUID
    environment_id: UUID
    dispatchable_id: str
    specification: DispatcherSpecification
    account_id: str | None
    external_account_id: UUID | None
    generation: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_kept(self) -> bool:
        """Whether the service that owns what it starts keeps it up to date, and nobody else may.

        Only that service says which version is meant.
        """
        try:
            return parse_dispatchable(self.specification.dispatchable).version_id is not None
        except UnparsableDispatchable:
            return False

    def next_generation(self, given: int | None) -> int | None:
        """The generation that an upsert writes; None when it is out of date.

        Left out, it follows the stored one. A given one must be newer than the stored one, so
        that late and repeated commands are harmless.
        """
        if given is None:
            return self.generation + 1
        return given if given > self.generation else None
