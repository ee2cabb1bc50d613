"""The event that a test of a job is given."""

from typing import Any, cast

from kongflow_common.payload import JsonDocument

__all__ = ["event_id_of_test", "event_of"]

_OWN_SOURCE = "trigger.dev"
_MAX_NAME = 480


def event_id_of_test(name: str, milliseconds: int) -> str:
    """The id of a test's event, which says when it was asked for.

    Of a very long name the beginning: an event's id has its limit too.
    """
    return f"test:{name[:_MAX_NAME]}:{milliseconds}"


def event_of(specification: JsonDocument) -> tuple[str, str]:
    """The name and the source of the event: of several names the first."""
    event = cast("dict[str, Any]", specification.load())
    name = event["name"]
    return str(name if isinstance(name, str) else name[0]), str(event.get("source") or _OWN_SOURCE)
