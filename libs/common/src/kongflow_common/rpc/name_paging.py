"""Pages of lists that are in the order of names."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow_common.errors import InvalidField
from kongflow_common.rpc.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

_DIGEST_BYTES = 12


class _ListRequest(Protocol):
    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class NamePage:
    """At most `size` items whose names follow `after`."""

    size: int
    after: str
    binding: bytes

    def next_token(self, names: Sequence[str]) -> str:
        """The token of the next page, if more names were found than are shown."""
        return self.token_after(names[self.size - 1]) if len(names) > self.size else ""

    def token_after(self, name: str) -> str:
        """The token of a page that begins after a name."""
        raw = self.binding + name.encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def name_page(
    method: str, request: _ListRequest, environment_id: UUID, *, within: str = ""
) -> NamePage:
    """Read a list request's page fields; raises InvalidField.

    The token serves no other method, environment or place `within` it.
    """
    if request.page_size < 0:
        raise InvalidField("page_size", "must not be negative")
    bound = f"{method} {environment_id} {within}".encode(errors="replace")
    binding = hashlib.sha256(bound).digest()[:_DIGEST_BYTES]
    return NamePage(
        size=min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE),
        after=_after(request.page_token, binding) if request.page_token else "",
        binding=binding,
    )


def _after(token: str, binding: bytes) -> str:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        name = raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        raise InvalidField("page_token", "is not a page token") from None
    if raw[:_DIGEST_BYTES] != binding:
        raise InvalidField(
            "page_token", "was given out for another list: repeat the request that it came from"
        )
    return name
