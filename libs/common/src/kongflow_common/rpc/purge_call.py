"""Answers the queued job that tells a context that something is deleted."""

from datetime import timedelta
from typing import Final, Protocol

from kongflow_common.db.purge import PURGE_AGAIN_AFTER, Purge
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.task_results import Snooze, say_snooze

__all__ = ["LOOK_AGAIN_AFTER", "purged_rows"]

LOOK_AGAIN_AFTER: Final = timedelta(seconds=30)
"""When a purge that deleted something looks again."""


class _Context(Protocol):
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


async def purged_rows(purge: Purge, resource_id: str, context: _Context) -> int:
    """How many rows of an event's resource this call deleted; snoozed until one finds none.

    For contexts purge side by side: what another has not deleted yet may still have something
    stored here, an event a run for example. Raises InvalidField.
    """
    purged = await purge(required_id(resource_id, "event.resource_id"))
    if not purged.complete:
        say_snooze(context, Snooze(PURGE_AGAIN_AFTER))
    elif purged.deleted:
        say_snooze(context, Snooze(LOOK_AGAIN_AFTER))
    return purged.deleted
