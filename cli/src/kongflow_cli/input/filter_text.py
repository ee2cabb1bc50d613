"""Filters in the language of AIP-160, put together from options."""

from collections.abc import Iterable
from datetime import datetime


def text_is(field: str, value: str | None) -> str:
    """The condition that a field equals a text; empty without one."""
    return f"{field} = {_quoted(value)}" if value is not None else ""


def text_is_one_of(field: str, values: Iterable[str]) -> str:
    """The condition that a field equals one of the texts; empty without any."""
    return " OR ".join(f"{field} = {_quoted(value)}" for value in dict.fromkeys(values))


def truth_is(field: str, value: bool | None) -> str:
    """The condition that a field is true or false; empty when that does not matter."""
    return f"{field} = {str(value).lower()}" if value is not None else ""


def is_after(field: str, time: datetime | None) -> str:
    """The condition that a time is not before another; empty without one."""
    return f'{field} >= "{time.isoformat()}"' if time is not None else ""


def all_of(*conditions: str) -> str:
    """All conditions at once, whatever each consists of; empty ones are none."""
    held = [each for each in conditions if each.strip()]
    if len(held) == 1:
        return held[0]
    return " AND ".join(f"({each})" if _is_compound(each) else each for each in held)


def _is_compound(condition: str) -> bool:
    return " AND " in condition or " OR " in condition or condition.count("=") != 1


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
