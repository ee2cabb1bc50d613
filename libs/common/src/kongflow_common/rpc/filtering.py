"""Reads filters in a subset of AIP-160.

    filter      = sequence { "AND" sequence }
    sequence    = term { "OR" term }            OR binds tighter than AND, as AIP-160 has it
    term        = [ "NOT" | "-" ] ( comparison | "(" filter ")" )
    comparison  = field ( "=" | "!=" | "<" | ">" | "<=" | ">=" | ":" ) value
    field       = name | name { "." member }    the second of a DOCUMENT, and only of one
    value       = quoted text | word

`:` is for TEXTS, which know no other operator, and for a DOCUMENT; the word `*` behind it stands
for anything. The values of an ENUM are read in any letter case.

Left out: bare words and functions, `*` as a wildcard elsewhere (it stands for itself). In a
document a quoted value is a text; a word is what JSON makes of it, or a text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import NoReturn, assert_never

from kongflow_common.errors import InvalidField
from kongflow_common.filtering import (
    And,
    Comparison,
    FieldType,
    Filter,
    FilterField,
    FilterValue,
    Not,
    Operator,
    Or,
)
from kongflow_common.ids import parse_id

__all__ = ["parse_filter"]

MAX_LENGTH = 4_096
MAX_COMPARISONS = 100
MAX_DEPTH = 20
MAX_PATH = 30

_FIELD = "filter"
_TOKENS = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<operator><=|>=|!=|=|<|>|:)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<minus>-(?=[A-Za-z_(]))
    |(?P<word>[0-9][^\s()=<>!"',]*|[^\s()=<>!"',:]+)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_JSON_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_ONLY_EQUALITY = frozenset({FieldType.BOOLEAN, FieldType.ID, FieldType.ENUM})
_WITH_HAS = frozenset({FieldType.TEXTS, FieldType.DOCUMENT})
_ANYTHING = "*"
_KEYWORDS = frozenset({"AND", "OR", "NOT"})


def parse_filter(text: str, fields: Iterable[FilterField]) -> Filter | None:
    """Read a filter over `fields`; None when it is empty.

    Raises InvalidField for `filter`, saying what is wrong and at which character.
    """
    if not text.strip():
        return None
    if len(text) > MAX_LENGTH:
        raise InvalidField(_FIELD, f"has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    parser = _Parser(_tokens(text), {field.name: field for field in fields}, len(text))
    return parser.whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _refuse(position: int, description: str) -> NoReturn:
    raise InvalidField(_FIELD, f"at character {position + 1}: {description}")


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position = 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            if text[position] in "\"'":
                _refuse(position, "the quoted text does not end")
            _refuse(position, f"{text[position]!r} is not understood")
        kind = match.lastgroup or "word"
        if kind != "space":
            tokens.append(_Token(kind, match.group(), position))
        position = match.end()
    return tokens


class _Parser:
    def __init__(
        self, tokens: list[_Token], fields: Mapping[str, FilterField], length: int
    ) -> None:
        self._tokens = tokens
        self._fields = fields
        self._end = _Token("end", "", length)
        self._next = 0
        self._comparisons = 0

    def whole(self) -> Filter:
        found = self._filter(1)
        rest = self._peek()
        if rest.kind == "close":
            _refuse(rest.position, "the parenthesis was not opened")
        if rest.kind != "end":
            _refuse(rest.position, "expected AND, OR or the end")
        return found

    def _filter(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            _refuse(self._peek().position, f"is nested more than {MAX_DEPTH} levels deep")
        items = [self._sequence(depth)]
        while self._take_word("AND"):
            items.append(self._sequence(depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def _sequence(self, depth: int) -> Filter:
        items = [self._term(depth)]
        while self._take_word("OR"):
            items.append(self._term(depth))
        return items[0] if len(items) == 1 else Or(tuple(items))

    def _term(self, depth: int) -> Filter:
        if self._take_word("NOT") or self._take("minus"):
            return Not(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Filter:
        opened = self._take("open")
        if opened is None:
            return self._comparison()
        found = self._filter(depth + 1)
        if self._take("close") is None:
            _refuse(opened.position, "the parenthesis is not closed")
        return found

    def _comparison(self) -> Comparison:
        name = self._take("word")
        if name is None or name.text in _KEYWORDS:
            _refuse((name or self._peek()).position, "expected the name of a field")
        has = self._peek().text == Operator.HAS.value
        field, path = self._field(name, whole=has)
        operator = self._operator(field)
        value = self._take("text") or self._take("word")
        if value is None:
            _refuse(self._peek().position, "expected a value")
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            _refuse(name.position, f"more than {MAX_COMPARISONS} comparisons")
        if has and (value.kind, value.text) == ("word", _ANYTHING):
            return Comparison(field.name, Operator.PRESENT, True, path)
        return Comparison(field.name, operator, _value(field, value), path)

    def _operator(self, field: FilterField) -> Operator:
        sign = self._take("operator")
        if sign is None:
            _refuse(self._peek().position, "expected =, !=, <, >, <=, >= or :")
        operator = Operator(sign.text)
        if field.type is FieldType.TEXTS and operator is not Operator.HAS:
            _refuse(sign.position, f"{field.name} is compared with : only")
        if field.type in _ONLY_EQUALITY and operator not in _EQUALITY:
            _refuse(sign.position, f"{field.name} is compared with = and != only")
        if operator is Operator.HAS and field.type not in _WITH_HAS:
            _refuse(sign.position, f"{field.name} holds one value, which : does not compare")
        return operator

    def _field(self, name: _Token, *, whole: bool) -> tuple[FilterField, tuple[str, ...]]:
        first, *path = name.text.split(".")
        field = self._fields.get(first)
        if field is None or (path and field.type is not FieldType.DOCUMENT):
            known = ", ".join(self._fields)
            _refuse(name.position, f"{name.text!r} cannot be filtered by; known are {known}")
        if field.type is FieldType.DOCUMENT:
            if not (path or whole) or not all(path) or "\x00" in name.text:
                _refuse(name.position, f"expected a path such as {field.name}.member")
            if len(path) > MAX_PATH:
                _refuse(name.position, f"the path has more than {MAX_PATH} members")
        return field, tuple(path)

    def _peek(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else self._end

    def _take(self, kind: str) -> _Token | None:
        token = self._peek()
        if token.kind != kind:
            return None
        self._next += 1
        return token

    def _take_word(self, word: str) -> _Token | None:
        token = self._peek()
        return self._take("word") if token.kind == "word" and token.text == word else None


def _value(field: FilterField, token: _Token) -> FilterValue:
    text = _ESCAPE.sub(r"\1", token.text[1:-1]) if token.kind == "text" else token.text
    if field.type is FieldType.DOCUMENT and token.kind == "word":
        value = _json_value(text)
    else:
        value = _read(field, text)
    if value is None:
        expected = ", ".join(field.members) if field.type is FieldType.ENUM else field.type.value
        _refuse(token.position, f"{field.name} is compared with {expected}")
    return value


def _read(field: FilterField, text: str) -> FilterValue | None:
    match field.type:
        case FieldType.TEXT | FieldType.TEXTS | FieldType.DOCUMENT:
            return text if "\x00" not in text else None
        case FieldType.NUMBER:
            return _number(text)
        case FieldType.BOOLEAN:
            return {"true": True, "false": False}.get(text)
        case FieldType.TIME:
            return _time(text)
        case FieldType.ID:
            return _id(text)
        case FieldType.ENUM:
            return next((each for each in field.members if each.lower() == text.lower()), None)
        case _:
            assert_never(field.type)


def _json_value(text: str) -> FilterValue | None:
    truth = {"true": True, "false": False}.get(text)
    if truth is not None:
        return truth
    number = _number(text) if _JSON_NUMBER.fullmatch(text) else None
    return number if number is not None else _read(FilterField("", FieldType.TEXT), text)


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _id(text: str) -> FilterValue | None:
    try:
        return parse_id(text, _FIELD)
    except InvalidField:
        return None
