"""`kongflow events replay`, `kongflow events replays`, `kongflow dispatchers backfill`."""

from datetime import datetime
from typing import Annotated

import typer

from kongflow.events.v1 import event_replays_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.event_replay_pb2 import EventReplay
from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceStub
from kongflow_cli.client.exit_codes import CONFLICT, USAGE
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment
from kongflow_cli.client.replay_end import (
    REPLAY_COLUMNS,
    REPLAY_DETAILS,
    total_of,
    wait_for_replay,
)
from kongflow_cli.client.session import Session
from kongflow_cli.errors import CliError
from kongflow_cli.input.event_keys import one_event
from kongflow_cli.input.given_text import not_empty
from kongflow_cli.input.time_text import parse_since, to_timestamp
from kongflow_cli.output.cells import Column, word

_SESSION = in_environment("events")

_NEW_EVENT: list[Column[EventRecord]] = [
    Column("Id", lambda event: event.id),
    Column("State", lambda event: word(EventRecord.State.Name, event.state, "STATE_")),
    Column("Name", lambda event: event.name),
    Column("Matched", lambda event: str(event.matched_count)),
    Column("Event id", lambda event: event.event_id),
    Column("Replay of", lambda event: event.replay_of),
]

_Filter = Annotated[
    str | None, typer.Option("--filter", metavar="EXPRESSION", help="Only events that match.")
]
_Since = Annotated[
    datetime | None,
    typer.Option(parser=parse_since, metavar="TIME", help="Only from then on: 2h, or a time."),
]
_Until = Annotated[
    datetime | None,
    typer.Option(parser=parse_since, metavar="TIME", help="Only before: 1h, or a time."),
]
_Rate = Annotated[int, typer.Option(min=1, max=1_000, help="How many each second.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell how many events there are.")]
_Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end, and show how far it is.")]
_ReplayId = Annotated[str, typer.Argument(metavar="ID", help="Id of the replay.")]

replays_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="See and stop replays of many events."
)


@with_options(session=_SESSION)
def replay_events(  # noqa: PLR0913 - an option each
    session: Session,
    *,
    record_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Id of one event's record.", show_default=False),
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option("--event-id", help="The sender's id, in the place of ID.", show_default=False),
    ] = None,
    new_event_id: Annotated[
        str | None,
        typer.Option(
            "--new-event-id",
            callback=not_empty,
            help="With one event: the id of the new one, so that a repeat is harmless.",
        ),
    ] = None,
    filter_text: _Filter = None,
    since: _Since = None,
    until: _Until = None,
    dispatcher: Annotated[
        str | None, typer.Option(metavar="ID", help="The only dispatcher that is told.")
    ] = None,
    rate: _Rate = 100,
    dry_run: _DryRun = False,
    wait: _Wait = False,
) -> None:
    """Send an event once more, or all that --filter, --since and --until name."""
    is_many = filter_text is not None or since is not None or until is not None
    if record_id is not None or event_id is not None:
        if is_many or dry_run or wait:
            raise CliError(
                "One event takes no --filter, --since, --until, --dry-run, --wait.", USAGE
            )
        _replay_one(session, one_event(record_id, event_id), dispatcher, new_event_id)
        return
    if not is_many:
        raise CliError("ID, or --filter, --since or --until, says which events.", USAGE)
    if new_event_id is not None:
        raise CliError("--new-event-id goes with one event.", USAGE)
    request = pb.ReplayEventsRequest(
        filter=filter_text or "",
        dispatcher_id=dispatcher or "",
        events_per_second=rate,
        dry_run=dry_run,
    )
    if since is not None:
        request.start_time.CopyFrom(to_timestamp(since))
    if until is not None:
        request.end_time.CopyFrom(to_timestamp(until))
    response = session.call(
        EventReplaysServiceStub(session.channel).ReplayEvents, request, repeat=_BEGUN
    )
    _show(session, response.event_replay, dry_run=dry_run, wait=wait)


@with_options(session=_SESSION)
def backfill_dispatcher(
    session: Session,
    *,
    dispatcher_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the dispatcher.")],
    since: Annotated[
        datetime,
        typer.Option(parser=parse_since, metavar="TIME", help="From then on: 2h, or a time."),
    ],
    until: _Until = None,
    filter_text: _Filter = None,
    rate: _Rate = 100,
    dry_run: _DryRun = False,
    wait: _Wait = False,
) -> None:
    """Start what a dispatcher would have started for events that came in before it."""
    request = pb.BackfillEventDispatcherRequest(
        dispatcher_id=dispatcher_id,
        start_time=to_timestamp(since),
        filter=filter_text or "",
        events_per_second=rate,
        dry_run=dry_run,
    )
    if until is not None:
        request.end_time.CopyFrom(to_timestamp(until))
    response = session.call(
        EventReplaysServiceStub(session.channel).BackfillEventDispatcher, request, repeat=_BEGUN
    )
    _show(session, response.event_replay, dry_run=dry_run, wait=wait)


@replays_app.command("list")
@with_options(session=_SESSION, page=filtered_pages)
def list_replays(session: Session, page: PageOptions) -> None:
    """List replays and back-fills, the newest first."""
    stub = EventReplaysServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[EventReplay], str]:
        request = pb.ListEventReplaysRequest(
            page_size=page_size, page_token=page_token, filter=page.filter
        )
        response = session.call(stub.ListEventReplays, request)
        return list(response.event_replays), response.next_page_token

    print_list(session.printer, page, fetch, REPLAY_COLUMNS, "No replays.")


@replays_app.command("get")
@with_options(session=_SESSION)
def get_replay(session: Session, replay_id: _ReplayId, wait: _Wait = False) -> None:
    """Show how far a replay is."""
    response = session.call(
        EventReplaysServiceStub(session.channel).GetEventReplay,
        pb.GetEventReplayRequest(id=replay_id),
    )
    _show(session, response.event_replay, dry_run=False, wait=wait)


@replays_app.command("cancel")
@with_options(session=_SESSION)
def cancel_replay(session: Session, replay_id: _ReplayId) -> None:
    """Stop a replay; what it has replayed stays."""
    response = session.call(
        EventReplaysServiceStub(session.channel).CancelEventReplay,
        pb.CancelEventReplayRequest(id=replay_id),
        repeat="Whether it is stopped is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.event_replay, REPLAY_DETAILS)


def add_to_events(events: typer.Typer) -> None:
    """Adds the commands to those on events."""
    events.command("replay")(replay_events)
    events.add_typer(replays_app, name="replays")


def add_to_dispatchers(dispatchers: typer.Typer) -> None:
    """Adds the command to those on dispatchers."""
    dispatchers.command("backfill")(backfill_dispatcher)


_BEGUN = "Whether it was begun is not known: `kongflow events replays list` shows what runs."


def _replay_one(
    session: Session, key: dict[str, str], dispatcher: str | None, new_event_id: str | None
) -> None:
    response = session.call(
        EventReplaysServiceStub(session.channel).ReplayEvent,
        pb.ReplayEventRequest(
            dispatcher_id=dispatcher or "", new_event_id=new_event_id or "", **key
        ),
        repeat="Whether it was replayed is not known: --new-event-id makes a repeat harmless.",
    )
    session.printer.resource(response.event_record, _NEW_EVENT)


def _show(session: Session, replay: EventReplay, *, dry_run: bool, wait: bool) -> None:
    if dry_run:
        if session.printer.as_json:
            session.printer.resource(replay, REPLAY_DETAILS)
        rate = replay.events_per_second
        session.printer.remark(
            f"{total_of(replay)} events would be gone through, {rate} each second; "
            "nothing was done."
        )
        return
    if wait:
        replay = wait_for_replay(session, replay)
    session.printer.resource(replay, REPLAY_DETAILS)
    if wait and replay.state != EventReplay.STATE_SUCCEEDED:
        raise CliError("The replay did not go through all events.", CONFLICT)
