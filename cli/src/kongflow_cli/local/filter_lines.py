"""Payloads and filters, one pair a line, and what the matcher says of them."""

import json
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn, cast

import orjson

from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError
from kongflow_filters import EventMatcher, MatchTarget

__all__ = ["verdicts"]

_KNOWN: Final = frozenset({"payload", "filter"})
_VERDICTS: Final = {True: "true", False: "false"}
_INVALID: Final = "invalid"


def verdicts(lines: Iterable[bytes]) -> Iterator[str]:
    """`true`, `false` or `invalid` for each line; empty lines are passed over.

    Raises CliError, which names the line, for what is not such a pair.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _verdict(_read(line, number))


def _verdict(pair: dict[str, object]) -> str:
    payload, payload_filter = pair.get("payload"), pair.get("filter")
    # As a service stores them: a job that declares no filter sends an empty one.
    matcher = EventMatcher({} if payload_filter is None else payload_filter)
    if matcher.rejected is not None:
        return _INVALID
    return _VERDICTS[matcher.matches(MatchTarget({} if payload is None else payload, {}))]


def _read(line: bytes, number: int) -> dict[str, object]:
    try:
        pair = _parse(line)
    except (ValueError, RecursionError) as error:
        raise CliError(f"Line {number} is not JSON: {error}.", USAGE) from None
    if type(pair) is not dict or not pair.keys() <= _KNOWN:
        raise CliError(f'Line {number} is not an object {{"payload": ..., "filter": ...}}.', USAGE)
    return cast("dict[str, object]", pair)


def _parse(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # Half of a surrogate pair, which JavaScript knows, and numbers beyond a double.
        return cast("object", json.loads(line, parse_int=float, parse_constant=_refuse_constant))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
