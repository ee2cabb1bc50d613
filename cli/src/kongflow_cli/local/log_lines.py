"""Turns what processes write into lines for people. Pure; called thousands of times a second."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_NAME_COLOURS = ("\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[32m", "\x1b[96m", "\x1b[95m", "\x1b[94m")
_LEVEL_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}
_HIDDEN = frozenset({"time", "level", "logger", "service", "instance", "message", "exception"})
# What is not printable could move the cursor or change the terminal's title; a message may hold
# what a stranger sent.
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u2070-\ud7ff\ue000-\U0010ffff]")
_POSTGRES_LEVEL = re.compile(
    r"\b(DEBUG\d?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|STATEMENT|CONTEXT):  "
)
# Valkey marks debug, verbose and notice with `.`, `-` and `*`, warnings with `#`; some warnings
# are about nothing but a start or an end.
_VALKEY_QUIET = re.compile(
    r"\d+:[A-Z] [^#]*? [.\-*] |\d+:signal-handler "
    r"|\d+:[A-Z] [^#]*? # (?:WARNING Memory overcommit|Valkey is now ready to exit|User requested)"
)


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How lines are shown: the width of the name column, and whether in colour."""

    name_width: int
    colour: bool

    def prefix(self, clock: str, name: str, position: int) -> str:
        """Returns what stands before each line of the process `name`."""
        padded = name.ljust(self.name_width)
        if not self.colour:
            return f"{clock} {padded} "
        colour = _NAME_COLOURS[position % len(_NAME_COLOURS)]
        return f"{_DIM}{clock}{_RESET} {colour}{padded}{_RESET} "

    def level(self, level: str) -> str:
        """Returns a level as shown; nothing for the ordinary one."""
        if level == "INFO":
            return ""
        colour = _LEVEL_COLOURS.get(level) if self.colour else None
        return f"{colour}{level}{_RESET} " if colour else f"{level} "


class LineFormatter:
    """Makes the shown lines of one process, leaving out those below its threshold."""

    def __init__(self, name: str, position: int, style: LineStyle) -> None:
        self._name = name
        self._position = position
        self._style = style
        self._postgres_shown = False

    def format(self, lines: Sequence[bytes], clock: str) -> list[str]:
        """Returns the lines to show; `clock` is the time of day they arrived."""
        prefix = self._style.prefix(clock, self._name, self._position)
        shown = []
        for line in lines:
            text = self._text(line)
            if text is not None:
                shown.append(prefix + text)
        return shown

    def _text(self, line: bytes) -> str | None:
        if line[:1] == b"{":
            try:
                content = orjson.loads(line)
            except orjson.JSONDecodeError:
                content = None
            if isinstance(content, dict):
                return self._record(content)
        text = line.decode(errors="replace").rstrip()
        if self._name == "postgres" and not self._is_postgres_shown(text):
            return None
        if self._name == "valkey" and _VALKEY_QUIET.match(text):
            return None
        return printable(text)

    def _record(self, content: dict[str, object]) -> str:
        level = self._style.level(str(content.get("level", "INFO")))
        text = level + printable(str(content.get("message", "")))
        fields = " ".join(
            [f"{name}={_field(value)}" for name, value in content.items() if name not in _HIDDEN]
        )
        if fields:
            fields = printable(fields)
            text += f" {_DIM}{fields}{_RESET}" if self._style.colour else f" {fields}"
        exception = content.get("exception")
        if exception:
            text += "".join(f"\n    {printable(line)}" for line in str(exception).splitlines())
        return text

    def _is_postgres_shown(self, text: str) -> bool:
        found = _POSTGRES_LEVEL.search(text, 0, 80)
        level = found[1] if found else ""
        if level in {"", "DETAIL", "HINT", "STATEMENT", "CONTEXT"}:
            # Belongs to the line before.
            return self._postgres_shown or not level
        self._postgres_shown = level in {"WARNING", "ERROR", "FATAL", "PANIC"}
        return self._postgres_shown


def printable(text: str) -> str:
    """Returns `text` with control characters made visible, line ends kept."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _field(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
