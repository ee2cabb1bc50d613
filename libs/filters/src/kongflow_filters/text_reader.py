"""How conditions read texts where that takes long: folded, or as addresses."""

from typing import Final

from kongflow_filters.address_range import Address, parse_address
from kongflow_filters.ignore_case import ignore_case_key
from kongflow_filters.simple_case import fold_letters

__all__ = [
    "OF_ADDRESS",
    "OF_KEY",
    "OF_LETTERS",
    "OF_READ",
    "OF_SCAN",
    "PER_STEP",
    "RememberingReader",
    "TextReader",
]

PER_STEP: Final = 1_000
"""Of these a step is worth, which is half a microsecond:"""
OF_READ: Final = 2
"""for each character of a text that is looked through,"""
OF_SCAN: Final = 20
"""in which something is looked for,"""
OF_LETTERS: Final = 120
"""of which letters beyond ASCII are folded one by one,"""
OF_KEY: Final = 400
"""or as `$ignoreCaseEquals` does it,"""
OF_ADDRESS: Final = 330
"""or which is read as an address;"""
_OF_ONE_ADDRESS: Final = 7 * PER_STEP

_MOST_REMEMBERED: Final = 2_000_000


class TextReader:
    """Reads a text whenever it is asked."""

    __slots__ = ()

    def ignore_case_key(self, text: str) -> str:
        """See kongflow_filters.ignore_case."""
        return ignore_case_key(text)

    def letters(self, text: str) -> str:
        """See kongflow_filters.simple_case."""
        return fold_letters(text)

    def address(self, text: str) -> Address | None:
        """See kongflow_filters.address_range."""
        return parse_address(text)


class RememberingReader(TextReader):
    """Reads each text of an event once for a filter, and counts what that takes."""

    __slots__ = ("_addresses", "_keys", "_letters", "_remembered", "spent")

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._letters: dict[str, str] = {}
        self._addresses: dict[str, Address] = {}
        self._remembered = 0
        self.spent = 0
        """Since it was set to none; PER_STEP are a step."""

    def ignore_case_key(self, text: str) -> str:
        """Those that are plain are read as quickly as they are found."""
        found = None if text.isascii() else self._keys.get(text)
        if found is None:
            found = ignore_case_key(text)
            self._remember(self._keys, text, found, OF_KEY)
        return found

    def letters(self, text: str) -> str:
        """The same."""
        found = None if text.isascii() else self._letters.get(text)
        if found is None:
            found = fold_letters(text)
            self._remember(self._letters, text, found, OF_LETTERS)
        return found

    def address(self, text: str) -> Address | None:
        """What is none is told as quickly as it is found."""
        found = self._addresses.get(text)
        if found is None:
            found = parse_address(text)
            self.spent += _OF_ONE_ADDRESS
            if found is not None:
                self._addresses[text] = found
        return found

    def _remember(self, known: dict[str, str], text: str, found: str, of_character: int) -> None:
        if text.isascii():
            self.spent += OF_READ * len(text)
            return
        self.spent += of_character * len(text)
        self._remembered += len(text)
        if self._remembered > _MOST_REMEMBERED:
            self._keys.clear()
            self._letters.clear()
            self._remembered = len(text)
        known[text] = found
