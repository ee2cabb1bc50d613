"""`kongflow accounts`: whom events belong to, by the sender's own names."""

from typing import Annotated

import typer

from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import in_environment
from kongflow_cli.client.session import Session

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Accounts that events are of.")

_SESSION = in_environment("events")


@app.callback()
def accounts() -> None:
    """Accounts that events are of."""


@app.command("delete")
@with_options(session=_SESSION)
def delete_account(
    session: Session,
    account: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help="Your name of it, as events are sent with.")
    ],
) -> None:
    """Delete an account for good, with its events, dispatchers and runs."""
    session.call(
        EventsServiceStub(session.channel).DeleteExternalAccount,
        events_service_pb2.DeleteExternalAccountRequest(account_id=account),
        repeat="Whether it is deleted is not known: delete it once more.",
    )
    session.printer.remark(f"Deleted account {account}.")
