"""Users' JSON documents: checked in this one place, kept as the text that was sent."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from kongflow_common.errors import InvalidField

__all__ = [
    "EMPTY_OBJECT",
    "MAX_DEPTH",
    "MAX_PAYLOAD_BYTES",
    "JsonDocument",
    "are_plain",
    "parse_json",
]

MAX_PAYLOAD_BYTES = 524_288
MAX_DEPTH = 200

# How the parser says that a document has more than its 1,024 levels.
_BEYOND_THE_PARSER = "depth limit exceeded"
# What PostgreSQL's numeric, and with it jsonb, can hold of digits after the point.
_MAX_DECIMAL_PLACES = 16_383
# Below these a number is harmless whatever else it says, and nearly every document is.
_LONG_DIGITS = 8_000
# A number ends with one of these; the hexadecimal digits of a UUID do not. One pattern for each e:
# what begins with a certain letter is searched for at a tenth of the cost.
_EXPONENT_DIGITS = rb"0*[1-9][0-9]{3}[0-9]*+(?:[\s,\]}]|\Z)"
_SUSPECT_EXPONENT = re.compile(b"e-" + _EXPONENT_DIGITS)
_SUSPECT_CAPITAL_EXPONENT = re.compile(b"E-" + _EXPONENT_DIGITS)
# jsonb writes 1e300 as 301 digits: of more text than this it could make more than is allowed.
_LONG_EXPONENTS = 3_000
_EXPONENT = re.compile(rb"[0-9][eE][+-]?0*[1-9][0-9]")
# So few bytes are nested no deeper than MAX_DEPTH, and hold no long number.
_PLAIN_BYTES = 2 * MAX_DEPTH
_SUSPECT_DIGITS = re.compile(rb"(?<![0-9])[0-9]{%d}" % _LONG_DIGITS)


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A JSON document that jsonb can hold, as UTF-8 text."""

    text: bytes

    def load(self) -> object:
        """Read the document into Python values; numbers beyond 64 bits become floats."""
        return orjson.loads(self.text)

    @staticmethod
    def dump(value: object) -> "JsonDocument":
        """Write values of the program's own; users' documents go through parse_json."""
        return JsonDocument(orjson.dumps(value))


EMPTY_OBJECT = JsonDocument(b"{}")


def parse_json(
    raw: bytes, *, field: str, max_bytes: int = MAX_PAYLOAD_BYTES, max_depth: int = MAX_DEPTH
) -> JsonDocument:
    """Check a document: UTF-8, JSON, `max_bytes` long, `max_depth` levels deep, fit for jsonb.

    Refuses NUL characters, lone surrogates, NaN, infinities and numbers that jsonb cannot
    hold. Raises InvalidField, naming `field`.
    """
    if len(raw) > max_bytes:
        raise InvalidField(field, f"is {len(raw)} bytes long; at most {max_bytes} are allowed")
    try:
        value: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith(_BEYOND_THE_PARSER):
            raise InvalidField(field, f"is nested more than {max_depth} levels deep") from None
        raise InvalidField(field, f"is not a JSON document: {error}") from None
    # Counting brackets costs next to nothing and bounds the depth from above.
    if raw.count(b"[") + raw.count(b"{") > max_depth and _depth(value) > max_depth:
        raise InvalidField(field, f"is nested more than {max_depth} levels deep")
    # One character is looked for many times as fast as several, and most documents hold none.
    if b"\\" in raw and b"\\u0000" in raw and _holds_nul(value):
        raise InvalidField(field, "holds the character NUL (\\u0000), which cannot be stored")
    if _suspect_numbers(raw):
        _check_numbers(raw, field, max_bytes)
    return JsonDocument(raw)


def are_plain(documents: Sequence[bytes]) -> bool:
    """Whether `parse_json` takes all of these, as a look at all of them at once tells.

    False when one is not taken, is long, or needs a closer look.
    """
    text = b"\n".join(documents)
    if b"\\u0000" in text or _suspect_exponents(text):
        return False
    try:
        for document in documents:
            if len(document) > _PLAIN_BYTES:
                return False
            orjson.loads(document)
    except orjson.JSONDecodeError:
        return False
    return True


def _depth(value: object) -> int:
    """The number of nested arrays and objects, the outermost counted as 1."""
    depth = 0
    level: list[object] = [value]
    while level:
        inner: list[object] = []
        found = False
        for each in level:
            if isinstance(each, dict):
                found = True
                inner.extend(cast("dict[str, object]", each).values())
            elif isinstance(each, list):
                found = True
                inner.extend(cast("list[object]", each))
        depth += found
        level = inner
    return depth


def _holds_nul(value: object) -> bool:
    stack: list[object] = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, str):
            if "\x00" in each:
                return True
        elif isinstance(each, dict):
            members = cast("dict[str, object]", each)
            stack.extend(members.keys())
            stack.extend(members.values())
        elif isinstance(each, list):
            stack.extend(cast("list[object]", each))
    return False


def _suspect_numbers(raw: bytes) -> bool:
    # Large numbers need no look: the parser refuses what exceeds a double, jsonb holds more.
    if _suspect_exponents(raw):
        return True
    if len(raw) > _LONG_EXPONENTS and _EXPONENT.search(raw):
        return True
    return len(raw) > _LONG_DIGITS and _SUSPECT_DIGITS.search(raw) is not None


def _suspect_exponents(raw: bytes) -> bool:
    # Backwards, where each e of a text does not hold the search up: an eighth of the time.
    if raw.rfind(b"e-") >= 0 and _SUSPECT_EXPONENT.search(raw):
        return True
    return raw.rfind(b"E-") >= 0 and _SUSPECT_CAPITAL_EXPONENT.search(raw) is not None


def _check_numbers(raw: bytes, field: str, max_bytes: int) -> None:
    """Look at each number by its text: what was suspect may have stood inside a string."""
    written_out = 0

    def check(number: str) -> None:
        nonlocal written_out
        mantissa, _, exponent = number.lower().partition("e")
        digits = exponent.lstrip("+-").lstrip("0")
        # One this long is out of range whatever it says; int() refuses 4,300 digits.
        shift = int(digits or "0") if len(digits) < 9 else _MAX_DECIMAL_PLACES + 1
        places = len(mantissa.partition(".")[2])
        if exponent.startswith("-"):
            places += shift
        if places > _MAX_DECIMAL_PLACES:
            raise InvalidField(
                field,
                f"holds a number with more than {_MAX_DECIMAL_PLACES} decimal places, "
                "which cannot be stored",
            )
        written_out += max(shift, places)
        if written_out > max_bytes:
            raise InvalidField(
                field,
                f"holds numbers that take more than {max_bytes} bytes when they are written out",
            )

    json.loads(raw, parse_float=check, parse_int=check)
