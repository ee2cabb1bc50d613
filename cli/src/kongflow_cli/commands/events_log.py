"""`kongflow events log`: what happened to a resource, and what of it to publish once more."""

from datetime import datetime
from typing import Annotated
from uuid import uuid4

import typer

from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow.events.v1.resource_events_service_pb2_grpc import ResourceEventsServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, in_environment, pages
from kongflow_cli.client.session import Session
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.time_text import parse_since, to_timestamp
from kongflow_cli.output.cells import Column, time_of, word
from kongflow_cli.output.documents import document_cell, document_line

_SESSION = in_environment("events")

_COLUMNS: list[Column[ResourceEvent]] = [
    Column("Id", lambda event: event.id),
    Column("Type", lambda event: event.type),
    Column("Time", lambda event: time_of(event, "time")),
    Column("Layer", lambda event: word(ResourceEvent.Layer.Name, event.layer, "LAYER_")),
    Column("Replay of", lambda event: event.replay_of),
    Column("Data", lambda event: document_line(event, "data")),
    Column("Version", lambda event: str(event.version), wide=True),
    Column("User", lambda event: event.user_id, wide=True),
]
_DETAILS: list[Column[ResourceEvent]] = [
    *_COLUMNS[:2],
    Column("Resource", lambda event: event.resource_id),
    *_COLUMNS[2:5],
    Column("Data", lambda event: document_cell(event, "data")),
    *_COLUMNS[6:],
]

log_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="See what happened to a resource, and publish it once more.",
)


@log_app.command("list")
@with_options(session=_SESSION, page=pages)
def list_log(
    session: Session,
    page: PageOptions,
    *,
    resource_id: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="Id of a run, a job, an event record, ...")
    ],
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only from then on: 2h, or a time."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only until then: 1h, or a time."),
    ] = None,
) -> None:
    """List what happened to a resource, the oldest first."""
    stub = ResourceEventsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[ResourceEvent], str]:
        request = pb.ListResourceEventsRequest(
            resource_id=resource_id, page_size=page_size, page_token=page_token
        )
        if since is not None:
            request.start_time.CopyFrom(to_timestamp(since))
        if until is not None:
            request.end_time.CopyFrom(to_timestamp(until))
        response = session.call(stub.ListResourceEvents, request)
        return list(response.resource_events), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "Nothing is logged of it.")


@log_app.command("replay")
@with_options(session=_SESSION)
def replay_logged(
    session: Session,
    *,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the event in the log.")],
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id",
            callback=not_empty,
            help="Your id of this replay, so that a repeat is harmless.",
            show_default="a new one",
        ),
    ] = None,
) -> None:
    """Publish an event of the log once more, by the layer of its type."""
    request_id = request_id or str(uuid4())
    response = session.call(
        ResourceEventsServiceStub(session.channel).ReplayResourceEvent,
        pb.ReplayResourceEventRequest(id=event_id, request_id=request_id),
        repeat=f"Whether it was published is not known: repeat it with --request-id {request_id}.",
    )
    session.printer.resource(response.resource_event, _DETAILS)


def add_to(events: typer.Typer) -> None:
    """Adds the commands to those of events."""
    events.add_typer(log_app, name="log")
