"""`kongflow dispatchers`: says which events start what."""

from typing import Annotated
from uuid import UUID, uuid4

import typer

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_dispatcher_pb2 import (
    Dispatchable,
    EventDispatcher,
    JobVersionDispatchable,
)
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment
from kongflow_cli.client.session import Session
from kongflow_cli.commands.event_replays import add_to_dispatchers
from kongflow_cli.errors import CliError
from kongflow_cli.input.documents import Documents
from kongflow_cli.input.filter_text import all_of, text_is, truth_is
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.output.cells import Cell, Column, Word, time_of, yes_or_no
from kongflow_cli.output.documents import document_cell

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Say which events start what.")

_SESSION = in_environment("events")
_MAX_INT64 = 2**63 - 1


def _starts(dispatcher: EventDispatcher) -> Cell:
    dispatchable = dispatcher.dispatchable
    if dispatchable.HasField("dynamic_trigger"):
        return f"trigger {dispatchable.dynamic_trigger.dynamic_trigger_id}"
    if dispatchable.HasField("ephemeral"):
        return "one call"
    return dispatchable.job_version.job_id


def _version(dispatcher: EventDispatcher) -> Cell:
    job_version = dispatcher.dispatchable.job_version
    return job_version.version or job_version.alias


def _has_wildcards(dispatcher: EventDispatcher) -> bool:
    return dispatcher.name_match == EventDispatcher.NAME_MATCH_WILDCARD


_COLUMNS: list[Column[EventDispatcher]] = [
    Column("Id", lambda dispatcher: dispatcher.id),
    Column("Enabled", lambda dispatcher: Word("on" if dispatcher.enabled else "off")),
    Column("Events", lambda dispatcher: ", ".join(dispatcher.event_names)),
    Column("Job", _starts),
    Column("Version", _version),
    Column("Updated", lambda dispatcher: time_of(dispatcher, "update_time")),
    Column("Dispatchable id", lambda dispatcher: dispatcher.dispatchable_id, wide=True),
    Column("Source", lambda dispatcher: dispatcher.source, wide=True),
    Column("Wildcards", lambda dispatcher: yes_or_no(_has_wildcards(dispatcher)), wide=True),
    Column("Account", lambda dispatcher: dispatcher.account_id, wide=True),
    Column("Manual", lambda dispatcher: yes_or_no(dispatcher.manual), wide=True),
    Column("Generation", lambda dispatcher: str(dispatcher.generation), wide=True),
    Column("Created", lambda dispatcher: time_of(dispatcher, "create_time"), wide=True),
]
_DETAILS: list[Column[EventDispatcher]] = [
    *_COLUMNS,
    Column("Payload filter", lambda dispatcher: document_cell(dispatcher, "payload_filter")),
    Column("Context filter", lambda dispatcher: document_cell(dispatcher, "context_filter")),
]


_Id = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Id of the dispatcher.", show_default=False)
]
_DispatchableId = Annotated[
    str | None, typer.Option(help="What it belongs to, in the place of ID.", show_default=False)
]


@app.command("put")
@with_options(session=_SESSION)
def put_dispatcher(  # noqa: PLR0913 - an option each
    session: Session,
    *,
    event: Annotated[
        list[str], typer.Option("--event", metavar="NAME", help="Takes it; may be repeated.")
    ],
    wildcards: Annotated[
        bool, typer.Option("--wildcards", help="A * in a name stands for any characters.")
    ] = False,
    job: Annotated[
        UUID | None, typer.Option(help="The job it starts.", show_default="a new one")
    ] = None,
    alias: Annotated[
        str | None, typer.Option(help="Alias of the job's version.", show_default="latest")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="The job's version, in the place of --alias.")
    ] = None,
    dispatchable_id: Annotated[
        str | None,
        typer.Option(
            "--id", callback=not_empty, help="What it belongs to.", show_default="the job's id"
        ),
    ] = None,
    payload_filter: Annotated[
        str | None,
        typer.Option("--filter", metavar="JSON", help="For the payload; or @file, or -."),
    ] = None,
    context_filter: Annotated[
        str | None, typer.Option(metavar="JSON", help="For the context; or @file, or -.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(callback=not_empty, help="Only events of it.", show_default="trigger.dev"),
    ] = None,
    account: Annotated[
        str | None, typer.Option(callback=not_empty, help="Only events of this account.")
    ] = None,
    manual: Annotated[bool, typer.Option("--manual", help="Takes no events by itself.")] = False,
    disabled: Annotated[bool, typer.Option("--disabled", help="Takes none for now.")] = False,
    generation: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_MAX_INT64,
            help="Which change this is; one that is not newer changes nothing.",
            show_default="the next",
        ),
    ] = None,
) -> None:
    """Create a dispatcher, or replace what the one with the same --id holds."""
    if alias is not None and version is not None:
        raise CliError("--alias and --version exclude each other.", USAGE)
    job_id = str(job or uuid4())
    job_version = JobVersionDispatchable(job_id=job_id)
    if alias is not None:
        job_version.alias = alias
    if version is not None:
        job_version.version = version
    dispatcher = EventDispatcher(
        dispatchable_id=dispatchable_id or job_id,
        dispatchable=Dispatchable(job_version=job_version),
        event_names=event,
        source=source or "",
        account_id=account or "",
        manual=manual,
    )
    if wildcards:
        dispatcher.name_match = EventDispatcher.NAME_MATCH_WILDCARD
    documents = Documents()
    if payload_filter is not None:
        document = documents.read("--filter", payload_filter)
        dispatcher.payload_filter.CopyFrom(Payload(json=document))
    if context_filter is not None:
        document = documents.read("--context-filter", context_filter)
        dispatcher.context_filter.CopyFrom(Payload(json=document))
    response = session.call(
        EventsServiceStub(session.channel).UpsertEventDispatcher,
        events_service_pb2.UpsertEventDispatcherRequest(
            event_dispatcher=dispatcher, generation=generation, enabled=False if disabled else None
        ),
        repeat=f"Whether it is stored is not known: repeat the command with --job {job_id}.",
    )
    session.printer.resource(response.event_dispatcher, _DETAILS)
    for warning in response.warnings:
        session.printer.remark(f"Warning: {warning}")


@app.command("get")
@with_options(session=_SESSION)
def get_dispatcher(
    session: Session, dispatcher_id: _Id = None, dispatchable_id: _DispatchableId = None
) -> None:
    """Show a dispatcher with its filters."""
    response = session.call(
        EventsServiceStub(session.channel).GetEventDispatcher,
        events_service_pb2.GetEventDispatcherRequest(**_one_key(dispatcher_id, dispatchable_id)),
    )
    session.printer.resource(response.event_dispatcher, _DETAILS)


@app.command("enable")
@with_options(session=_SESSION)
def enable_dispatcher(
    session: Session, dispatcher_id: _Id = None, dispatchable_id: _DispatchableId = None
) -> None:
    """Have a dispatcher take events again."""
    response = session.call(
        EventsServiceStub(session.channel).EnableEventDispatcher,
        events_service_pb2.EnableEventDispatcherRequest(**_one_key(dispatcher_id, dispatchable_id)),
        repeat="Whether it is enabled is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.event_dispatcher, _DETAILS)


@app.command("disable")
@with_options(session=_SESSION)
def disable_dispatcher(
    session: Session, dispatcher_id: _Id = None, dispatchable_id: _DispatchableId = None
) -> None:
    """Have a dispatcher take no events, from the next one on."""
    response = session.call(
        EventsServiceStub(session.channel).DisableEventDispatcher,
        events_service_pb2.DisableEventDispatcherRequest(
            **_one_key(dispatcher_id, dispatchable_id)
        ),
        repeat="Whether it is disabled is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.event_dispatcher, _DETAILS)


@app.command("delete")
@with_options(session=_SESSION)
def delete_dispatcher(
    session: Session, dispatcher_id: _Id = None, dispatchable_id: _DispatchableId = None
) -> None:
    """Delete a dispatcher; its runs stay."""
    _ = session.call(
        EventsServiceStub(session.channel).DeleteEventDispatcher,
        events_service_pb2.DeleteEventDispatcherRequest(**_one_key(dispatcher_id, dispatchable_id)),
        repeat="Whether it is deleted is not known: see kongflow dispatchers get.",
    )
    session.printer.remark("Deleted.")


@app.command("list")
@with_options(session=_SESSION, page=filtered_pages)
def list_dispatchers(
    session: Session,
    page: PageOptions,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    dispatchable_id: Annotated[str | None, typer.Option(help="Only what belongs to it.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those that do, or do not.")
    ] = None,
    manual: Annotated[bool | None, typer.Option(help="Only manual ones, or none.")] = None,
) -> None:
    """List dispatchers, the newest first."""
    filter_text = all_of(
        text_is("source", source),
        text_is("dispatchable_id", dispatchable_id),
        truth_is("enabled", enabled),
        truth_is("manual", manual),
        page.filter,
    )
    stub = EventsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[EventDispatcher], str]:
        request = events_service_pb2.ListEventDispatchersRequest(
            page_size=page_size, page_token=page_token, filter=filter_text
        )
        response = session.call(stub.ListEventDispatchers, request)
        return list(response.event_dispatchers), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No dispatchers.")


add_to_dispatchers(app)


def _one_key(dispatcher_id: str | None, dispatchable_id: str | None) -> dict[str, str]:
    match dispatcher_id, dispatchable_id:
        case str(), None:
            return {"id": dispatcher_id}
        case None, str():
            return {"dispatchable_id": dispatchable_id}
        case _:
            raise CliError("Either ID or --dispatchable-id says which dispatcher.", USAGE)
