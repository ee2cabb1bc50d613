"""`kongflow` and `python -m kongflow_cli`."""

import io
import os
import sys
from collections.abc import Sequence

from kongflow_cli.app import app
from kongflow_cli.errors import CliError

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a mistake of the user ends with a sentence and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Unicode shows escapes rather than a stack trace.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _check_text(words)
        app(words)
    except CliError as error:
        print(f"kongflow: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        _flush()


def _check_text(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise CliError("An argument is not UTF-8 text.", _USAGE) from None


def _flush() -> None:
    """Writes what is left, while it can still be told that nobody takes it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # `kongflow ... | head`: the reader has what it wanted. Nothing more is to be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"kongflow: The output cannot be written: {error.strerror}.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
