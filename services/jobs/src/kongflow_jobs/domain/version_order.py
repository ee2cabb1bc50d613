"""Which of two versions is the newer one."""

from collections.abc import Iterable
from functools import cmp_to_key

from semver import Version

__all__ = ["newest"]


def newest(versions: Iterable[str]) -> str:
    """The newest of some versions, at least one (docs/behaviour.md#latest).

    By semantic versioning where both can be read so, else by their text.
    """
    return max(versions, key=cmp_to_key(_compare))


def _compare(one: str, other: str) -> int:
    if Version.is_valid(one) and Version.is_valid(other):
        order = Version.parse(one).compare(other)
        if order:
            return order
    # Also what differs in its build only: the order must be total.
    return (one > other) - (one < other)
