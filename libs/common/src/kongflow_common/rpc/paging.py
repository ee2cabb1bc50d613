"""Pages of lists that begin with the newest: page sizes and opaque page tokens.

A token holds the place where the page before ended (keyset) and a digest of what was asked,
so that it serves no other method, filter or environment. It grants nothing: every query is
bounded by the caller's environment whatever the token says.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kongflow_common.errors import InvalidField

__all__ = ["DEFAULT_PAGE_SIZE", "MAX_PAGE_SIZE", "PageCursor", "PageRequest", "page_request"]

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

_VERSION = 1
_DIGEST_BYTES = 12
_TIME_BYTES = 8
_TOKEN_BYTES = 1 + _DIGEST_BYTES + _TIME_BYTES + 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The place of an item in a list ordered by time and id, the newest first."""

    time: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class PageRequest:
    """At most `size` items that come after `after`; from the beginning when it is None."""

    size: int
    after: PageCursor | None
    binding: bytes

    def next_page_token(self, last: PageCursor) -> str:
        """The token of the page that follows the item `last`."""
        since = (last.time - _EPOCH) // _MICROSECOND
        raw = b"".join(
            (
                bytes((_VERSION,)),
                self.binding,
                since.to_bytes(_TIME_BYTES, "big", signed=True),
                last.id.bytes,
            )
        )
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def page_request(
    *,
    method: str,
    page_size: int,
    page_token: str,
    filter_text: str = "",
    environment_id: UUID | None = None,
) -> PageRequest:
    """Read a list request's page fields.

    `method` and what else bounds the list (filter, environment) bind the token. Raises
    InvalidField for a negative `page_size` and for a `page_token` that this list did not
    give out.
    """
    if page_size < 0:
        raise InvalidField("page_size", "must not be negative")
    binding = _binding(method, filter_text, environment_id)
    return PageRequest(
        size=min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE),
        after=_cursor(page_token, binding) if page_token else None,
        binding=binding,
    )


def _binding(method: str, filter_text: str, environment_id: UUID | None) -> bytes:
    parts = (method, filter_text, str(environment_id or ""))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode(errors="replace")).digest()[:_DIGEST_BYTES]


def _cursor(token: str, binding: bytes) -> PageCursor:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused("is not a page token") from None
    if len(raw) != _TOKEN_BYTES or raw[0] != _VERSION:
        raise _refused("is not a page token")
    if raw[1 : 1 + _DIGEST_BYTES] != binding:
        raise _refused("was given out for another list: repeat the request that it came from")
    since = int.from_bytes(raw[-16 - _TIME_BYTES : -16], "big", signed=True)
    try:
        time = _EPOCH + timedelta(microseconds=since)
    except OverflowError:
        raise _refused("is not a page token") from None
    return PageCursor(time, UUID(bytes=raw[-16:]))


def _refused(description: str) -> InvalidField:
    return InvalidField("page_token", description)
