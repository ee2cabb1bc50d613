"""`kongflow events`: sends events, and shows what became of them."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

import typer

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.events.v1.match_explanation_pb2 import DispatcherVerdict
from kongflow.runs.v1 import runs_service_pb2
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow.workerqueue.v1.job_options_pb2 import Priority
from kongflow_cli.client.bulk_send import send_lines
from kongflow_cli.client.cloud_event_send import send_cloud_events
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment
from kongflow_cli.client.run_end import RUN_COLUMNS
from kongflow_cli.client.session import Session
from kongflow_cli.commands import events_log, events_tail
from kongflow_cli.commands.event_replays import add_to_events
from kongflow_cli.errors import CliError
from kongflow_cli.input.documents import Documents, opened_lines
from kongflow_cli.input.event_keys import one_event
from kongflow_cli.input.event_lines import MAX_SCHEMA_VERSION, event_lines
from kongflow_cli.input.filter_text import all_of, is_after, text_is, text_is_one_of, truth_is
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.states import EventState, PayloadTypeWord, PriorityWord
from kongflow_cli.input.time_text import (
    parse_duration,
    parse_since,
    parse_time,
    to_duration,
    to_timestamp,
)
from kongflow_cli.output.cells import Column, time_of, word, yes_or_no
from kongflow_cli.output.documents import document_cell
from kongflow_cli.output.explanations import VERDICT_COLUMNS
from kongflow_cli.output.proto_json import to_json

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Send events, and see what became of them."
)

events_tail.add_to(app)
events_log.add_to(app)

_SESSION = in_environment("events")

_COLUMNS: list[Column[EventRecord]] = [
    Column("Id", lambda event: event.id),
    Column("State", lambda event: word(EventRecord.State.Name, event.state, "STATE_")),
    Column("Name", lambda event: event.name),
    Column("Matched", lambda event: str(event.matched_count)),
    Column("Created", lambda event: time_of(event, "create_time")),
    Column("Deliver", lambda event: time_of(event, "deliver_time")),
    Column("Event id", lambda event: event.event_id),
    Column("Source", lambda event: event.source, wide=True),
    Column("Account", lambda event: event.account_id, wide=True),
    Column("Priority", lambda event: word(Priority.Name, event.priority, "PRIORITY_"), wide=True),
    Column("Test", lambda event: yes_or_no(event.test), wide=True),
]
_SHOWN_RUNS = 100
_RUN_COLUMNS = [
    *RUN_COLUMNS[:3],
    *(each for each in RUN_COLUMNS if each.header in ("Error", "Dispatcher")),
]
_DETAILS: list[Column[EventRecord]] = [
    *_COLUMNS,
    Column("Happened", lambda event: time_of(event, "event_time")),
    Column("Processed", lambda event: time_of(event, "processed_time")),
    Column("Delivered", lambda event: time_of(event, "delivered_time")),
    Column("Cancelled", lambda event: time_of(event, "cancelled_time")),
    Column("Payload", lambda event: document_cell(event, "payload")),
    Column("Context", lambda event: document_cell(event, "context")),
    Column("Replay of", lambda event: event.replay_of),
    Column("Does not fit", lambda event: "\n".join(event.schema_check.warnings)),
]
_RecordId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Id of the record.", show_default=False)
]
_EventId = Annotated[
    str | None,
    typer.Option("--event-id", help="The sender's id, in the place of ID.", show_default=False),
]
_OF_SCHEMA = "The version of its name's schema that checks it."


@app.command("send")
@with_options(session=_SESSION)
def send_event(  # noqa: PLR0913 - an option each
    session: Session,
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="What happened, e.g. order.created.", show_default=False
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Send the events of a file, or of - the standard input: a JSON object a line.",
        ),
    ] = None,
    atomic: Annotated[
        bool, typer.Option("--atomic", help="With --file: all of them are stored, or none.")
    ] = False,
    cloudevent: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Send the CloudEvent of a file or of -, in JSON, or each of an array of them.",
        ),
    ] = None,
    from_line: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --file: leave out the lines before.")
    ] = 1,
    payload: Annotated[
        str | None,
        typer.Option(help="JSON, @file, or - for the standard input.", show_default="{}"),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="JSON, @file, or -.", show_default="{}")
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            callback=not_empty,
            help="Your id of the event; sending it again is harmless.",
            show_default="a new one",
        ),
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time, metavar="TIME", help="Deliver it then: 2026-05-01T12:00:00Z."
        ),
    ] = None,
    after: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="DURATION", help="Deliver it after 30s, 5m."),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(callback=not_empty, help="Your name of the account it belongs to."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(callback=not_empty, help="Who says so.", show_default="trigger.dev"),
    ] = None,
    happened: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time, metavar="TIME", help="When it happened.", show_default="now"
        ),
    ] = None,
    payload_type: Annotated[
        PayloadTypeWord, typer.Option(case_sensitive=False, help="How the payload is read.")
    ] = PayloadTypeWord.JSON,
    priority: Annotated[
        PriorityWord | None,
        typer.Option(case_sensitive=False, help="Which deliveries go first.", show_default="high"),
    ] = None,
    schema_version: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_SCHEMA_VERSION, metavar="N", help=_OF_SCHEMA, show_default="newest"
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Mark it, and its runs, as a test.")] = False,
) -> None:
    """Send an event, or many. Once this succeeds they are stored and will be delivered.

    The lines of a file have members with the names of the options: {"name": "order.created",
    "id": "order-1", "payload": {"total": 120}, "after": "5s"}. NAME and options stand for what a
    line leaves out.
    """
    if at is not None and after is not None:
        raise CliError("--at and --after exclude each other.", USAGE)
    if cloudevent is not None:
        if name or file or event_id or payload is not None or context is not None or source:
            raise CliError("The CloudEvent says what is sent.", USAGE)
        options = events_service_pb2.SendCloudEventRequest(
            account_id=account or "", test=test, schema_version=schema_version or 0
        )
        _put_delivery(options, at, after, priority)
        raise typer.Exit(send_cloud_events(session, cloudevent, options, _COLUMNS))
    if file is None:
        _check_one(name, is_for_many=atomic or from_line > 1)
    elif event_id or payload is not None or context is not None:
        raise CliError("--id, --payload and --context are said by the lines of --file.", USAGE)
    event_id = event_id or ("" if file is not None else str(uuid4()))
    documents = Documents()
    event = EventRecord(
        event_id=event_id,
        name=name or "",
        source=source or "",
        payload_type=EventRecord.PayloadType.Value(f"PAYLOAD_TYPE_{payload_type.name}"),
    )
    if payload is not None:
        event.payload.CopyFrom(Payload(json=documents.read("--payload", payload)))
    if context is not None:
        event.context.CopyFrom(Payload(json=documents.read("--context", context)))
    if happened is not None:
        event.event_time.CopyFrom(to_timestamp(happened))
    request = events_service_pb2.SendEventRequest(
        event=event, account_id=account or "", test=test, schema_version=schema_version or 0
    )
    _put_delivery(request, at, after, priority)
    if file is not None:
        with opened_lines("--file", file) as lines:
            code = send_lines(session, event_lines(lines, request, from_line), together=atomic)
        raise typer.Exit(code)
    response = session.call(
        EventsServiceStub(session.channel).SendEvent,
        request,
        repeat=f"Whether it is stored is not known: repeat the command with --id {event_id}.",
    )
    session.printer.resource(response.event_record, _COLUMNS)
    for warning in response.event_record.schema_check.warnings:
        session.printer.remark(f"Warning: {warning}")


def _put_delivery(
    request: events_service_pb2.SendEventRequest | events_service_pb2.SendCloudEventRequest,
    at: datetime | None,
    after: timedelta | None,
    priority: PriorityWord | None,
) -> None:
    if at is not None:
        request.deliver_time.CopyFrom(to_timestamp(at))
    if after is not None:
        request.deliver_after.CopyFrom(to_duration(after))
    if priority is not None:
        request.priority = Priority.Value(f"PRIORITY_{priority.name}")


@app.command("get")
@with_options(session=_SESSION)
def get_event(
    session: Session,
    record_id: _RecordId = None,
    event_id: _EventId = None,
    *,
    cloudevent: Annotated[
        bool, typer.Option("--cloudevent", help="As a CloudEvent in JSON, and nothing else.")
    ] = False,
) -> None:
    """Show an event with its payload and context, and the runs that came of it."""
    if cloudevent:
        found_event = session.call(
            EventsServiceStub(session.channel).GetCloudEvent,
            events_service_pb2.GetCloudEventRequest(
                **one_event(record_id, event_id), format=events_service_pb2.CLOUD_EVENT_FORMAT_JSON
            ),
        )
        session.printer.line(found_event.cloud_event.json.decode())
        return
    response = session.call(
        EventsServiceStub(session.channel).GetEventRecord,
        events_service_pb2.GetEventRecordRequest(**one_event(record_id, event_id)),
    )
    record = response.event_record
    with session.beside("runs") as runs:
        found = runs.call(
            RunsServiceStub(runs.channel).ListRuns,
            runs_service_pb2.ListRunsRequest(
                filter=text_is("event_record_id", record.id) or "", page_size=_SHOWN_RUNS
            ),
        )
    if session.printer.as_json:
        session.printer.json_object(
            {**to_json(record), "runs": [to_json(run) for run in found.runs]}
        )
        return
    session.printer.resource(record, _DETAILS)
    if found.runs:
        session.printer.line("")
        session.printer.items(iter(found.runs), _RUN_COLUMNS, "No runs.")


@app.command("cancel")
@with_options(session=_SESSION)
def cancel_event(session: Session, record_id: _RecordId = None, event_id: _EventId = None) -> None:
    """Take an event back before it is delivered."""
    response = session.call(
        EventsServiceStub(session.channel).CancelEvent,
        events_service_pb2.CancelEventRequest(**one_event(record_id, event_id)),
        repeat="Whether it was cancelled is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.event_record, _DETAILS)


@app.command("cancel-runs")
@with_options(session=_SESSION)
def cancel_runs(session: Session, record_id: _RecordId = None, event_id: _EventId = None) -> None:
    """Cancel the runs of an event that have not ended."""
    response = session.call(
        EventsServiceStub(session.channel).CancelRunsForEvent,
        events_service_pb2.CancelRunsForEventRequest(**one_event(record_id, event_id)),
        repeat="Which runs were cancelled is not known; to repeat the command is harmless.",
    )
    if session.printer.as_json:
        session.printer.json_object(to_json(response))
        return
    for run_id in response.cancelled_run_ids:
        session.printer.line(f"Cancelled {run_id}")
    for run_id in response.failed_run_ids:
        session.printer.line(f"Failed    {run_id}")
    if not response.cancelled_run_ids and not response.failed_run_ids:
        session.printer.remark("No runs to cancel.")


@app.command("list")
@with_options(session=_SESSION, page=filtered_pages)
def list_events(
    session: Session,
    page: PageOptions,
    *,
    name: Annotated[str | None, typer.Option(help="Only events of this name.")] = None,
    state: Annotated[
        list[EventState] | None,
        typer.Option(case_sensitive=False, help="Only in this state; may be repeated."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    test: Annotated[bool | None, typer.Option(help="Only tests, or none.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only newer ones: 2h, or a time."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="With payload and context; for --json.")
    ] = False,
) -> None:
    """List events, the newest first."""
    filter_text = all_of(
        text_is("name", name),
        text_is_one_of("state", (each.name for each in state or ())),
        text_is("source", source),
        truth_is("test", test),
        is_after("create_time", since),
        page.filter,
    )
    stub = EventsServiceStub(session.channel)
    view = events_service_pb2.VIEW_FULL if full else events_service_pb2.VIEW_BASIC

    def fetch(page_size: int, page_token: str) -> tuple[list[EventRecord], str]:
        request = events_service_pb2.ListEventRecordsRequest(
            page_size=page_size, page_token=page_token, filter=filter_text, view=view
        )
        response = session.call(stub.ListEventRecords, request)
        return list(response.event_records), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No events.")


@app.command("explain")
@with_options(session=_SESSION, page=filtered_pages)
def explain_event(
    session: Session,
    page: PageOptions,
    *,
    record_id: _RecordId = None,
    event_id: _EventId = None,
    dispatchable_id: Annotated[
        str | None, typer.Option(help="Only the dispatcher that belongs to it.")
    ] = None,
) -> None:
    """Say which dispatchers, as they are now, take an event, and why the others do not."""
    key = one_event(record_id, event_id)
    filter_text = all_of(text_is("dispatchable_id", dispatchable_id), page.filter)
    stub = EventsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[DispatcherVerdict], str]:
        request = events_service_pb2.ExplainEventRequest(
            page_size=page_size, page_token=page_token, filter=filter_text, **key
        )
        response = session.call(stub.ExplainEvent, request)
        return list(response.verdicts), response.next_page_token

    print_list(session.printer, page, fetch, VERDICT_COLUMNS, "No dispatchers.")


add_to_events(app)


def _check_one(name: str | None, *, is_for_many: bool) -> None:
    if name is None:
        raise CliError("Either NAME or --file says what is sent.", USAGE)
    if is_for_many:
        raise CliError("--atomic and --from-line go with --file.", USAGE)
