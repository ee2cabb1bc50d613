"""`kongflow events tail`: shows what happens to resources, as it happens."""

import time
from collections.abc import Iterator
from typing import Annotated, Final

import grpc
import typer

from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow.events.v1.resource_events_service_pb2_grpc import ResourceEventsServiceStub
from kongflow_cli.client.call_failed import CallFailed
from kongflow_cli.client.option_groups import with_options, without
from kongflow_cli.client.options import WatchTimeout, in_environment
from kongflow_cli.client.session import Session
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.output.cells import Cell, Column, Word, time_of
from kongflow_cli.output.documents import document_line
from kongflow_cli.output.printer import Printer
from kongflow_cli.output.proto_json import to_json

_SESSION = without(in_environment("events"), "timeout")
_PAUSE_SECONDS: Final = 1.0
# A watch that was cut off goes on behind its last answer; what is refused stays refused.
_CUT_OFF: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)
_COLOURS: Final = {
    "completed": "success",
    "failed": "failure",
    "error": "failure",
    "ingested": "started",
    "registered": "success",
}


class _TypeName(Word):
    """The name of a type, coloured by its last part as a state of that name is."""

    @property
    def style(self) -> str:
        status = self.text.rpartition(".")[2]
        return Word(_COLOURS.get(status, status)).style


def _replayed(event: ResourceEvent) -> Cell:
    return f"replay of {event.replay_of}" if event.replay_of else None


_COLUMNS: list[Column[ResourceEvent]] = [
    Column("Time", lambda event: time_of(event, "time")),
    Column("Type", lambda event: _TypeName(event.type)),
    Column("Resource", lambda event: event.resource_id),
    # On one line: each event has its own.
    Column("Data", lambda event: document_line(event, "data")),
    Column("Replay", _replayed),
]


@with_options(session=_SESSION)
def tail_events(
    session: Session,
    *,
    resource: Annotated[
        str | None,
        typer.Option(callback=not_empty, help="Only what happens to this resource.", metavar="ID"),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only events of this type, e.g. run.completed.failure. May be repeated.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            metavar="TOKEN",
            help="Go on behind what was shown last: the token that an earlier tail ended with.",
            show_default="from now on",
        ),
    ] = None,
    timeout: WatchTimeout = None,
) -> None:
    """Show what happens to events, runs, indexes and other resources, until Ctrl-C or --timeout.

    A connection that breaks is made again and goes on where it ended. With --json a document per
    line; where it has a resume_token, --after goes on behind it.
    """
    request = pb.WatchEventsRequest(
        resource_id=resource or "", types=types or (), resume_token=after or ""
    )
    was_answered = False
    try:
        for answer in _answers(session, request, timeout):
            was_answered = True
            _show(session.printer, answer)
    finally:
        # A token that the log has not answered to may be none.
        if was_answered and request.resume_token and not session.printer.as_json:
            session.printer.remark(f"Go on with --after {request.resume_token}")


def _answers(
    session: Session, request: pb.WatchEventsRequest, seconds: float | None
) -> Iterator[pb.WatchEventsResponse]:
    """The answers of one watch after the other; `request` keeps the newest token.

    Ends after so many seconds. Raises CallFailed, then too if there is no connection at the end.
    """
    stub = ResourceEventsServiceStub(session.channel)
    end = time.monotonic() + seconds if seconds is not None else None
    left = seconds
    connected = False
    while True:
        failure = None
        try:
            for answer in session.stream(stub.WatchEvents, request, seconds=left):
                connected = True
                yield answer
                request.resume_token = answer.resume_token
        except CallFailed as error:
            if error.status not in _CUT_OFF or not request.resume_token:
                raise
            failure = error
        if end is not None:
            left = end - time.monotonic() - _PAUSE_SECONDS
            if left <= 0:
                break
        if failure is not None and connected:
            session.printer.remark(f"{failure} Trying again.")
        connected = failure is None
        time.sleep(_PAUSE_SECONDS)
    if failure is not None:
        raise failure


def _show(printer: Printer, answer: pb.WatchEventsResponse) -> None:
    last = len(answer.resource_events) - 1
    for place, event in enumerate(answer.resource_events):
        if not printer.as_json:
            printer.row(event, _COLUMNS)
            continue
        document = to_json(event)
        if place == last:
            # Only behind the last one does the token go on.
            document = {**document, "resume_token": answer.resume_token}
        printer.json_line(document)


def add_to(events: typer.Typer) -> None:
    """Adds the command to those of events."""
    events.command("tail")(tail_events)
