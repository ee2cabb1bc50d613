"""When two queued jobs count as the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import orjson


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """Same kind, same environment and same arguments, while the first has not ended.

    `args` names the arguments that are compared, all of them when empty.
    """

    args: tuple[str, ...] = ()


def unique_key(
    kind: str,
    environment_id: UUID | None,
    args: Mapping[str, object],
    uniqueness: Uniqueness,
) -> UUID:
    """Compute what two jobs that count as the same have in common.

    A digest in the shape of a UUID: PostgreSQL compares and indexes that type in 16 bytes
    without a length word.
    """
    if uniqueness.args:
        args = {name: args[name] for name in uniqueness.args if name in args}
    digest = sha256(kind.encode())
    # A zero byte cannot occur in any of the parts, so no two lists of parts run together.
    digest.update(b"\0" + (environment_id.bytes.hex().encode() if environment_id else b"") + b"\0")
    digest.update(orjson.dumps(args, option=orjson.OPT_SORT_KEYS))
    return UUID(bytes=digest.digest()[:16])
