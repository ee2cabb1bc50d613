"""Payloads and filters, one pair a line, and what the matcher says of them."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn, cast

import orjson

from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError
from kongflow_cli.input.deep_json import parse_deep_json
from kongflow_filters import CompiledFilter, InvalidFilter, parse_filter

__all__ = ["MAX_FILTER_DEPTH", "verdicts"]

MAX_FILTER_DEPTH: Final = 2_000
"""The original's schema check takes so many levels, and not many more, before it fails."""

# Each level of a filter is read, compiled and asked by functions that call themselves.
_FRAMES: Final = 10 * MAX_FILTER_DEPTH
_KNOWN: Final = ("payload", "filter")
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
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _FRAMES))
    try:
        # As a service stores them: a job that declares no filter sends an empty one.
        written = {} if payload_filter is None else payload_filter
        compiled = CompiledFilter(parse_filter(written, max_depth=MAX_FILTER_DEPTH))
        return _VERDICTS[compiled.matches_member({} if payload is None else payload)]
    except InvalidFilter:
        return _INVALID
    finally:
        sys.setrecursionlimit(limit)


def _read(line: bytes, number: int) -> dict[str, object]:
    try:
        pair = _parse(line)
    except UnicodeDecodeError:
        raise CliError(f"Line {number} is not UTF-8.", USAGE) from None
    except ValueError as error:
        raise CliError(f"Line {number} is not JSON: {error}.", USAGE) from None
    if type(pair) is not dict:
        raise CliError(f'Line {number} is not an object {{"payload": ..., "filter": ...}}.', USAGE)
    members = cast("dict[str, object]", pair)
    for name in members:
        if name not in _KNOWN:
            raise CliError(
                f"Line {number} has an unknown member {json.dumps(name)}; known are payload and"
                " filter.",
                USAGE,
            )
    return members


def _parse(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        text = line.decode("utf-8-sig", "surrogatepass")
    try:
        # Half of a surrogate pair, which JavaScript knows, and numbers beyond a double.
        return cast("object", _LENIENT.decode(text))
    except RecursionError:
        return parse_deep_json(text, _LENIENT)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_LENIENT: Final = json.JSONDecoder(parse_int=float, parse_constant=_refuse_constant)
