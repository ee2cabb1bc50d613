"""Standard streams that were closed before the command began (`<&-`, `>&-`, `2>&-`)."""

import io
import os
import sys
from typing import Final, NoReturn

from kongflow_cli.errors import CliError

__all__ = ["replace_closed_streams"]

_STANDARD_NUMBERS: Final = 3
# That of exit_codes, which would load grpc before the first help.
_USAGE: Final = 2


def replace_closed_streams() -> None:
    """Puts something in the place of closed streams, which Python leaves out as None.

    Who reads the standard input then is told; without a standard error messages are dropped.
    Raises CliError without a standard output: no command could say what it did.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    # Else a file or a connection of ours would get such a number, and what is written to it.
    while (number := os.open(os.devnull, os.O_RDWR)) < _STANDARD_NUMBERS:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if sys.stdin is None:
        sys.stdin = _ClosedInput()
    if sys.stdout is None:
        sys.stdout = _nowhere()
        raise CliError("The standard output is closed.", _USAGE)


def _nowhere() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8", write_through=True)


class _ClosedInput(io.TextIOWrapper):
    """A standard input that says that it is closed, to whoever reads."""

    def __init__(self) -> None:
        super().__init__(io.BufferedReader(_ClosedFile()), encoding="utf-8")


class _ClosedFile(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> NoReturn:
        raise CliError("The standard input is closed.", _USAGE)
