"""`kongflow filters`: what filters say of payloads, of a sample, and of stored events."""

from datetime import datetime
from typing import Annotated

import typer

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import in_environment
from kongflow_cli.client.session import Session
from kongflow_cli.input.documents import Documents
from kongflow_cli.input.filter_text import all_of, is_after, text_is
from kongflow_cli.input.states import PayloadTypeWord
from kongflow_cli.input.time_text import parse_since
from kongflow_cli.output.cells import Column, time_of
from kongflow_cli.output.explanations import (
    found_cell,
    place_cell,
    reason_cell,
    verdict_cell,
    wanted_cell,
)

app = typer.Typer(
    help="Try filters: on lines, a sample, or stored events.",
    no_args_is_help=True,
    add_completion=False,
)

_SESSION = in_environment("events")
_VERDICT: list[Column[events_service_pb2.TestFilterResponse]] = [
    Column("Verdict", lambda answer: verdict_cell(answer.matched)),
    Column("Why not", lambda answer: reason_cell(answer.explanation)),
    Column("Where", lambda answer: place_cell(answer.explanation)),
    Column("Wanted", lambda answer: wanted_cell(answer.explanation)),
    Column("Found", lambda answer: found_cell(answer.explanation)),
]
_BACKTEST: list[Column[events_service_pb2.BacktestFilterResponse]] = [
    Column("Matched", lambda answer: f"{answer.matched_count} of {answer.examined_count}"),
    Column("Oldest", lambda answer: time_of(answer, "oldest_create_time")),
    Column("Events", lambda answer: "\n".join(answer.matched_event_record_ids)),
]

_PayloadFilter = Annotated[
    str | None, typer.Option("--filter", metavar="JSON", help="For the payload; or @file, or -.")
]
_ContextFilter = Annotated[
    str | None, typer.Option(metavar="JSON", help="For the context; or @file, or -.")
]


@app.command()
def match() -> None:
    """Say for each line of the standard input whether its filter takes its payload.

    Needs no server. A line is {"payload": ..., "filter": ...}: the payload of an event, and the
    payload filter as a job declares it. Each is answered by one line: true, false, or invalid when
    the filter is not a filter. A payload that is left out or null counts as {}, and so does a
    filter.
    """
    import sys  # noqa: PLC0415

    from kongflow_cli.local.filter_lines import verdicts  # noqa: PLC0415

    for verdict in verdicts(sys.stdin.buffer):
        sys.stdout.write(verdict + "\n")


@app.command("test")
@with_options(session=_SESSION)
def try_filter(
    session: Session,
    *,
    payload_filter: _PayloadFilter = None,
    context_filter: _ContextFilter = None,
    payload: Annotated[
        str | None, typer.Option(help="JSON, @file, or -.", show_default="{}")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="JSON, @file, or -.", show_default="{}")
    ] = None,
    payload_type: Annotated[
        PayloadTypeWord, typer.Option(case_sensitive=False, help="How the payload is read.")
    ] = PayloadTypeWord.JSON,
) -> None:
    """Say whether filters hold for a sample of an event and, if not, why. Stores nothing."""
    documents = Documents()
    request = events_service_pb2.TestFilterRequest(
        payload_filter=_document(documents, "--filter", payload_filter),
        context_filter=_document(documents, "--context-filter", context_filter),
        event=EventRecord(
            payload=_document(documents, "--payload", payload),
            context=_document(documents, "--context", context),
            payload_type=EventRecord.PayloadType.Value(f"PAYLOAD_TYPE_{payload_type.name}"),
        ),
    )
    response = session.call(EventsServiceStub(session.channel).TestFilter, request)
    session.printer.resource(response, _VERDICT)
    for warning in response.warnings:
        session.printer.remark(f"Warning: {warning}")


@app.command()
@with_options(session=_SESSION)
def backtest(
    session: Session,
    *,
    payload_filter: _PayloadFilter = None,
    context_filter: _ContextFilter = None,
    name: Annotated[str | None, typer.Option(help="Only events of this name.")] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only newer ones: 2h, or a time."),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=1_000, help="The newest so many of them.")
    ] = 100,
) -> None:
    """Say which of the last stored events filters would have taken."""
    documents = Documents()
    request = events_service_pb2.BacktestFilterRequest(
        payload_filter=_document(documents, "--filter", payload_filter),
        context_filter=_document(documents, "--context-filter", context_filter),
        filter=all_of(
            text_is("name", name), text_is("source", source), is_after("create_time", since)
        ),
        max_events=last,
    )
    response = session.call(EventsServiceStub(session.channel).BacktestFilter, request)
    session.printer.resource(response, _BACKTEST)
    if response.out_of_time:
        back_to = response.searched_back_to_time.ToJsonString()
        session.printer.remark(
            f"The time ran out: events before {back_to} were not looked at; --timeout allows more."
        )
    for warning in response.warnings:
        session.printer.remark(f"Warning: {warning}")


def _document(documents: Documents, option: str, text: str | None) -> Payload | None:
    return Payload(json=documents.read(option, text)) if text is not None else None
