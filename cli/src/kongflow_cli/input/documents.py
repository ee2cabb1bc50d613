"""JSON documents on the command line: the text itself, `@file`, or `-` for the standard input."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError

# What a server takes in one message; it refuses documents above its own limit in better words.
_MAX_BYTES = 4 * 1024 * 1024
_STANDARD_INPUT = "-"


class Documents:
    """The documents of one command, of which one may come from the standard input."""

    def __init__(self) -> None:
        self._stdin_option = ""

    def read(self, option: str, text: str) -> bytes:
        """Returns the document that `option` names, as it stands; the service checks it.

        Raises CliError when it cannot be read.
        """
        if text == _STANDARD_INPUT:
            if self._stdin_option:
                raise CliError(
                    f"{self._stdin_option} and {option} cannot both be the standard input.", USAGE
                )
            self._stdin_option = option
            return _within_limit(option, sys.stdin.buffer.read(_MAX_BYTES + 1))
        if text.startswith("@"):
            path = Path(text[1:])
            try:
                with path.open("rb") as source:
                    return _within_limit(option, source.read(_MAX_BYTES + 1))
            except OSError as error:
                raise CliError(
                    f"{option}: {path} cannot be read: {error.strerror}.", USAGE
                ) from None
            except ValueError:
                raise CliError(f"{option}: that is not the name of a file.", USAGE) from None
        return text.encode()


@contextmanager
def opened_lines(option: str, text: str) -> Iterator[BinaryIO]:
    """Opens the file that `option` names, or the standard input for `-`.

    Raises CliError when it cannot be opened.
    """
    with ExitStack() as stack:
        if text == _STANDARD_INPUT:
            source: BinaryIO = sys.stdin.buffer
        else:
            try:
                source = stack.enter_context(Path(text).open("rb"))
            except OSError as error:
                raise CliError(
                    f"{option}: {text} cannot be read: {error.strerror}.", USAGE
                ) from None
            except ValueError:
                raise CliError(f"{option}: that is not the name of a file.", USAGE) from None
        yield source


def _within_limit(option: str, content: bytes) -> bytes:
    if len(content) > _MAX_BYTES:
        raise CliError(f"{option}: the document is larger than 4 MiB.", USAGE)
    return content
