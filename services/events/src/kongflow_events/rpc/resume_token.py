"""Resume tokens: where a watch goes on, signed, and bound to what it watches.

A token grants nothing, as a watch sees what its caller may see whatever the token says. It is
signed so that a position that the log never gave out is refused instead of leaving a gap.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from struct import Struct, error
from typing import Final

from kongflow_common.errors import InvalidField
from kongflow_events.domain.log_position import LogPosition, LogSelection

__all__ = ["read_resume_token", "resume_token"]

_VERSION: Final = 2
_BODY: Final = Struct("!BqQqq12s")
_SIGNATURE_BYTES: Final = 16
_MAX_LENGTH: Final = 128
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def resume_token(position: LogPosition, selection: LogSelection, key: bytes) -> str:
    """The token of a position in a watch."""
    since = (position.since - _EPOCH) // _MICROSECOND
    body = _BODY.pack(
        _VERSION, position.server, position.xid, position.sequence, since, _binding(selection)
    )
    return base64.urlsafe_b64encode(body + _signature(body, key)).rstrip(b"=").decode()


def read_resume_token(token: str, selection: LogSelection, key: bytes) -> LogPosition | None:
    """The position that a token names; None for no token.

    Raises InvalidField for one that was not given out, or not for this watch.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(
            token[:_MAX_LENGTH] + "=" * (-len(token[:_MAX_LENGTH]) % 4),
            altchars=b"-_",
            validate=True,
        )
        body, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        version, server, xid, sequence, since, binding = _BODY.unpack(body)
    except (binascii.Error, ValueError, error):
        raise _refused("is not a resume token") from None
    if version != _VERSION or not hmac.compare_digest(signature, _signature(body, key)):
        raise _refused("was not given out by this log")
    if binding != _binding(selection):
        raise _refused("was given out for another watch: repeat the request that it came from")
    return LogPosition(server, xid, sequence, _EPOCH + since * _MICROSECOND)


def _signature(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)[:_SIGNATURE_BYTES]


def _binding(selection: LogSelection) -> bytes:
    parts = (
        *(str(scope) for scope in selection.scope_ids),
        selection.resource_id or "",
        *sorted(selection.types),
    )
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode(errors="replace")).digest()[:12]


def _refused(description: str) -> InvalidField:
    return InvalidField("resume_token", description)
