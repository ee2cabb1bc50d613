"""JSON that is nested deeper than other readers go: as deep as the memory allows."""

import re
from json import JSONDecodeError, JSONDecoder
from typing import Final, cast

__all__ = ["parse_deep_json"]

_WHITESPACE: Final = re.compile(r"[ \t\n\r]*")
_ENDS: Final = {list: "]", dict: "}"}

# What stands for the value of a list or an object that was begun and holds something.
_BEGUN: Final = object()


def parse_deep_json(text: str, scalars: JSONDecoder) -> object:
    """Reads a document; `scalars` reads what is neither a list nor an object.

    Several times slower than the readers of orjson and json, which call themselves for each level
    and so end at some. Raises ValueError, JSONDecodeError where the text is not JSON.
    """
    return _Reader(text, scalars).document()


class _Reader:
    """Goes through a text once; what was begun and has not ended waits in a list."""

    def __init__(self, text: str, scalars: JSONDecoder) -> None:
        self._text = text
        self._scalars = scalars
        self._at = 0
        self._open: list[list[object] | dict[str, object]] = []
        self._names: list[str] = []

    def document(self) -> object:
        self._pass_space()
        while True:
            value = self._value()
            if value is not _BEGUN and self._ends_with(value):
                break
        if self._at != len(self._text):
            raise JSONDecodeError("Extra data", self._text, self._at)
        return self._result

    def _value(self) -> object:
        """The value that begins here; of one that holds something only its beginning is read."""
        sign = self._sign()
        if sign not in ("[", "{"):
            value, self._at = self._scalars.raw_decode(self._text, self._at)
            return cast("object", value)
        container: list[object] | dict[str, object] = [] if sign == "[" else {}
        self._pass_sign()
        if self._sign() == _ENDS[type(container)]:
            self._at += 1
            return container
        self._open.append(container)
        if sign == "{":
            self._name()
        return _BEGUN

    def _ends_with(self, value: object) -> bool:
        """Puts a value into what it stands in; whether the document ends with it."""
        while self._open:
            self._pass_space()
            container = self._open[-1]
            if isinstance(container, dict):
                container[self._names.pop()] = value
            else:
                container.append(value)
            if self._sign() == ",":
                self._pass_sign()
                if isinstance(container, dict):
                    self._name()
                return False
            if self._sign() != _ENDS[type(container)]:
                raise JSONDecodeError("Expecting ',' delimiter", self._text, self._at)
            self._at += 1
            value = self._open.pop()
        self._pass_space()
        self._result = value
        return True

    def _name(self) -> None:
        """Reads the name of a member and its colon."""
        if self._sign() != '"':
            reason = "Expecting property name enclosed in double quotes"
            raise JSONDecodeError(reason, self._text, self._at)
        name, self._at = self._scalars.raw_decode(self._text, self._at)
        self._pass_space()
        if self._sign() != ":":
            raise JSONDecodeError("Expecting ':' delimiter", self._text, self._at)
        self._pass_sign()
        self._names.append(cast("str", name))

    def _sign(self) -> str:
        return self._text[self._at : self._at + 1]

    def _pass_sign(self) -> None:
        self._at += 1
        self._pass_space()

    def _pass_space(self) -> None:
        found = _WHITESPACE.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at
