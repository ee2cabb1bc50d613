"""`kongflow` and `python -m kongflow_cli`."""

import sys

from kongflow_cli.app import app
from kongflow_cli.errors import CliError


def main() -> None:
    """Runs the command line; a mistake of the user ends with a sentence and an exit code."""
    try:
        app()
    except CliError as error:
        print(f"kongflow: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
