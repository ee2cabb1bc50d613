"""Identities of requests, so that a command can be given again without harm."""

from typing import Annotated
from uuid import uuid4

import typer

from kongflow_cli.input.given_text import not_empty

RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        callback=not_empty,
        help="Makes a repeat of the command harmless.",
        show_default="a new one",
    ),
]


def request_id_and_hint(given: str | None) -> tuple[str, str]:
    """Returns the id to send, and what to tell the user when no answer comes."""
    request_id = given or str(uuid4())
    return (
        request_id,
        f"Whether it was done is not known: repeat it with --request-id {request_id}.",
    )
