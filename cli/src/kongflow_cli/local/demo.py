"""The demo: one program, six events, and the way of each with its times."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.text import Text

from kongflow.endpoints.v1 import endpoints_service_pb2
from kongflow.endpoints.v1.endpoint_pb2 import Endpoint, EndpointIndex
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.runs.v1 import runs_service_pb2
from kongflow.runs.v1.run_pb2 import Run
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow_cli.client.call_failed import CallFailed
from kongflow_cli.client.connection import (
    Connection,
    ConnectionOptions,
    Credential,
    resolve_connection,
)
from kongflow_cli.client.dev_system import DevSystem, find_dev_system
from kongflow_cli.client.endpoint_index import wait_for_index
from kongflow_cli.client.exit_codes import NOT_FOUND
from kongflow_cli.client.run_end import wait_for_run
from kongflow_cli.client.session import Session, open_session
from kongflow_cli.errors import CliError
from kongflow_cli.local.background import end_system, start_in_background
from kongflow_cli.local.state_folder import StateFolder
from kongflow_cli.output.printer import Printer

_START_SECONDS = 180.0
_PROGRAM_SECONDS = 10.0
_LONGEST_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_SLUG = "python-example"
_LISTENING = "listening on "


@dataclass(frozen=True)
class Sent:
    """An event of the demo, and what is to be seen of it."""

    name: str
    payload: dict[str, Any]
    shows: str
    deliver_after: timedelta = timedelta()
    event_id: str = field(default_factory=lambda: f"demo-{uuid4()}")


def events() -> Sequence[Sent]:
    """The six events."""
    large = {"amount": 250, "customer": "c-1042", "country": "DE"}
    return (
        Sent("order.created", large, "one job takes it"),
        Sent("order.created", {**large, "country": "US"}, "two jobs take it"),
        Sent("order.created", {"amount": 20, "country": "FR"}, "nothing matches it"),
        Sent("order.created", {"amount": 900, "country": "FR"}, "its job fails: no customer"),
        Sent("user.created", {"email": "ada@example.com", "name": "Ada"}, "another event"),
        Sent(
            "user.created",
            {"email": "bob@example.com", "name": "Bob"},
            "is delivered 2 s later",
            deliver_after=timedelta(seconds=2),
        ),
    )


def run_demo(state: StateFolder, program: Path) -> None:
    """Runs the demo; what it started it ends, whatever happens."""
    if not program.is_file():
        raise CliError(f"There is no program {program}; --program names one.")
    with ExitStack() as stack:
        system = _system(state, stack)
        url = stack.enter_context(_running(program, system.api_key))
        console = Console(highlight=False, soft_wrap=True)
        sessions = {
            context: stack.enter_context(_session(state, context))
            for context in ("endpoints", "events", "runs")
        }
        stack.enter_context(_registered(sessions["endpoints"], url, console))
        ways = [(sent, _send(sessions["events"], sent)) for sent in events()]
        for number, (sent, record) in enumerate(ways, start=1):
            processed = _processed(sessions["events"], record)
            _print_way(console, number, sent, processed, _runs(sessions["runs"], processed))


def _system(state: StateFolder, stack: ExitStack) -> DevSystem:
    try:
        return find_dev_system(state.path, Path.cwd())
    except CliError:
        start_in_background(state, _START_SECONDS)
        stack.callback(end_system, state)
        return find_dev_system(state.path, Path.cwd())


@contextmanager
def _running(program: Path, api_key: str) -> Iterator[str]:
    """The program as a process; answers its URL."""
    process = subprocess.Popen(
        [sys.executable, program, "--port", "0"],
        env={**os.environ, "TRIGGER_API_KEY": api_key},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith(_LISTENING):
            raise CliError(f"The program {program} does not start.")
        yield line.removeprefix(_LISTENING).strip()
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_PROGRAM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def _session(state: StateFolder, context: str) -> Iterator[Session]:
    def connection_to(other: str) -> Connection:
        options = ConnectionOptions(state.path, None, None, 10.0)
        return resolve_connection(other, Credential.API_KEY, options, {}, Path.cwd())

    printer = Printer(as_json=False, wide=False, clock=lambda: datetime.now(UTC))
    with open_session(connection_to(context), printer, connection_to) as opened:
        yield opened


@contextmanager
def _registered(session: Session, url: str, console: Console) -> Iterator[None]:
    """The program as the endpoint; afterwards that is where it was, or nowhere.

    The system may be one that somebody uses, with the same example at another URL.
    """
    before = _url_of_endpoint(session)
    endpoint = _register(session, url, console)
    try:
        yield
    finally:
        _put_back(session, endpoint, before)


def _url_of_endpoint(session: Session) -> str:
    """Where the endpoint is now; empty when it is not there, or nowhere."""
    request = endpoints_service_pb2.GetEndpointRequest(slug=_SLUG)
    try:
        return session.call(EndpointsServiceStub(session.channel).GetEndpoint, request).endpoint.url
    except CallFailed as error:
        if error.exit_code != NOT_FOUND:
            raise
        return ""


def _put_back(session: Session, endpoint: Endpoint, url: str) -> None:
    stub = EndpointsServiceStub(session.channel)
    if url:
        try:
            create = endpoints_service_pb2.CreateEndpointRequest(
                endpoint=Endpoint(slug=_SLUG, url=url)
            )
            wait_for_index(session, session.call(stub.CreateEndpoint, create).endpoint_index)
            return
        except CallFailed:
            # Nobody answers there any more.
            session.printer.remark(f"{_SLUG} is not at {url} any more; its URL is taken away.")
    session.call(stub.DeleteEndpoint, endpoints_service_pb2.DeleteEndpointRequest(id=endpoint.id))


def _register(session: Session, url: str, console: Console) -> Endpoint:
    response = session.call(
        EndpointsServiceStub(session.channel).CreateEndpoint,
        endpoints_service_pb2.CreateEndpointRequest(endpoint=Endpoint(slug=_SLUG, url=url)),
    )
    index = wait_for_index(session, response.endpoint_index)
    if index.state != EndpointIndex.STATE_SUCCESS:
        raise CliError(f"The program could not be indexed: {index.error.message}")
    took = _between(index.create_time, index.update_time)
    console.print(f"{_SLUG} at {url}: {index.statistics.jobs} jobs registered in {took} ms\n")
    return response.endpoint


def _send(session: Session, sent: Sent) -> EventRecord:
    request = events_service_pb2.SendEventRequest(
        event=EventRecord(name=sent.name, event_id=sent.event_id)
    )
    request.event.payload.json = orjson.dumps(sent.payload)
    if sent.deliver_after:
        request.deliver_after.FromTimedelta(sent.deliver_after)
    return session.call(EventsServiceStub(session.channel).SendEvent, request).event_record


def _processed(session: Session, record: EventRecord) -> EventRecord:
    deadline = time.monotonic() + _LONGEST_SECONDS
    request = events_service_pb2.GetEventRecordRequest(id=record.id)
    while not record.HasField("processed_time"):
        if time.monotonic() > deadline:
            raise CliError(f"The event {record.event_id} was not delivered.")
        time.sleep(_PAUSE_SECONDS)
        record = session.call(
            EventsServiceStub(session.channel).GetEventRecord, request
        ).event_record
    return record


def _runs(session: Session, record: EventRecord) -> list[Run]:
    stub = RunsServiceStub(session.channel)
    request = runs_service_pb2.ListRunsRequest(filter=f'event_record_id = "{record.id}"')
    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        runs = session.call(stub.ListRuns, request).runs
        if len(runs) >= record.matched_count:
            break
        if time.monotonic() > deadline:
            raise CliError(f"The event {record.event_id} has no runs.")
        time.sleep(_PAUSE_SECONDS)
    ended = [wait_for_run(session, run.id, wait=True) for run in runs]
    return sorted(ended, key=lambda run: run.job_slug)


_COLOURS = {Run.STATE_SUCCESS: "green", Run.STATE_FAILURE: "red"}


def _print_way(
    console: Console, number: int, sent: Sent, record: EventRecord, runs: Sequence[Run]
) -> None:
    console.print(Text(f"{number}. {sent.name}  ({sent.shows})", style="bold"))
    accepted = record.create_time

    def say(at: Timestamp, what: str, result: str | Text = "") -> None:
        line = Text(f"   {f'+{_between(accepted, at)} ms':>9}  {what:<26}  ").append(result)
        console.print(line, soft_wrap=True)

    say(accepted, "accepted", orjson.dumps(sent.payload).decode())
    matched = record.matched_count
    say(record.processed_time, "matched", f"{matched} job{'' if matched == 1 else 's'}")
    for run in runs:
        say(run.create_time, f"run of {run.job_slug}")
        say(run.start_time, "  started")
        say(run.complete_time, "  ended", _outcome(run))
    console.print()


def _outcome(run: Run) -> Text:
    state = Run.State.Name(run.state).removeprefix("STATE_").lower()
    said = run.error_message
    if run.HasField("output") and not said:
        from kongflow_cli.output.proto_json import document_of  # noqa: PLC0415

        said = orjson.dumps(document_of(run.output)).decode()
    return Text(f"{state}: {said}", style=_COLOURS.get(run.state, "yellow"))


def _between(one: Timestamp, other: Timestamp) -> int:
    """Milliseconds from one time to another."""
    return round((other.ToNanoseconds() - one.ToNanoseconds()) / 1_000_000)
