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
    environment = environment_id.hex if environment_id is not None else ""
    # A zero byte occurs in none of the parts, so no two lists of parts run together.
    text = f"{kind}\0{environment}\0".encode() + orjson.dumps(args, option=orjson.OPT_SORT_KEYS)
    return UUID(bytes=sha256(text).digest()[:16])
