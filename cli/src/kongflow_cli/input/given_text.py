"""Options that say something or are left out."""

import typer


def not_empty(text: str | None) -> str | None:
    """Refuses the empty text: it is an unset shell variable more often than it is meant.

    To the services an empty field is one that was left out, e.g. an event of no account.
    """
    if text == "":
        raise typer.BadParameter("must not be empty; leave the option out instead.")
    return text
