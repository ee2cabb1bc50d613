"""Texts with `*`, which stands for any characters, none too. A backslash makes it a character."""

import re
from typing import Final

__all__ = ["Wildcard"]

_PIECE: Final = re.compile(r"\\.|\\$|\*+|[^\\*]+", re.DOTALL)


class Wildcard:
    """A pattern, split at its stars. Raises ValueError where it is none.

    A text is matched by looking for each part once, from the left, so in linear time.
    """

    __slots__ = ("middle", "prefix", "suffix")

    def __init__(self, pattern: str) -> None:
        parts = [""]
        for piece in _PIECE.findall(pattern):
            if piece == "*":
                parts.append("")
            elif piece.startswith("*"):
                raise ValueError("must not have two stars in a row")
            elif piece.startswith("\\"):
                if piece[1:] not in ("*", "\\"):
                    raise ValueError(r"a backslash stands only before a star or a backslash")
                parts[-1] += piece[1]
            else:
                parts[-1] += piece
        self.prefix: str = parts[0]
        """What a text begins with; the whole text where there is no star."""
        self.suffix: str | None = parts[-1] if len(parts) > 1 else None
        """What it ends with; None where there is no star."""
        self.middle: tuple[str, ...] = tuple(parts[1:-1])
        """What stands between, in this order."""

    def matches(self, text: str) -> bool:
        """Whether the text is of this pattern."""
        if self.suffix is None:
            return text == self.prefix
        end = len(text) - len(self.suffix)
        position = len(self.prefix)
        if position > end or not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return False
        for part in self.middle:
            found = text.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True
