"""`kongflow` and `python -m kongflow_cli`."""

import errno
import io
import os
import sys
from collections.abc import Sequence

from kongflow_cli.app import app
from kongflow_cli.errors import CliError
from kongflow_cli.standard_streams import replace_closed_streams

_USAGE = 2
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a mistake of the user ends with a sentence and an exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        replace_closed_streams()
        for stream in (sys.stdout, sys.stderr):
            # A terminal without Unicode shows escapes rather than a stack trace.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        _check_text(words)
        # Also for `python -m kongflow_cli`, whose own name no shell completes.
        app(words, prog_name="kongflow")
    except CliError as error:
        print(f"kongflow: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        print(f"kongflow: {_what_failed(error)}", file=sys.stderr)
        sys.exit(1)
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
        # `kongflow ... | head`: the reader has what it wanted.
        _write_no_more()
    except OSError as error:
        _write_no_more()
        print(f"kongflow: {_what_failed(error)}", file=sys.stderr)
        sys.exit(1)


def _write_no_more() -> None:
    """Lets the interpreter's own last flush succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _what_failed(error: OSError) -> str:
    return f"{error.filename or 'The output'} cannot be written: {error.strerror}."


if __name__ == "__main__":
    main()
