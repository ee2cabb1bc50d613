"""Text that others wrote, made harmless for a terminal."""

import unicodedata


def printable(text: str) -> str:
    """Returns the text with control and format characters as escapes, e.g. `\\x1b`.

    Otherwise an event's name could move the cursor, colour the screen or turn lines around.
    """
    if text.isprintable():
        return text
    return "".join(each if _is_shown(each) else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """Returns the same, with line ends left as they are."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _is_shown(character: str) -> bool:
    # Spaces of other scripts are not printable to Python, but harmless.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
