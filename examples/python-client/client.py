"""Sends an event to KongFlow and watches for what its runs come to.

    python client.py order.created '{"amount": 250, "customer": "eve"}'

Needs grpcio and the stubs of protos/ (the package kongflow-protos). Addresses and key come from
KONGFLOW_EVENTS, KONGFLOW_RUNS and KONGFLOW_API_KEY, or from the dev.json of a system that
`kongflow up` started here.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import json_format

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.runs.v1 import runs_service_pb2 as runs_pb
from kongflow.runs.v1.run_pb2 import Run
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub

REPOSITORY = Path(__file__).resolve().parents[2]
CALL_SECONDS = 10.0
WATCH_SECONDS = 60.0
STEP_SECONDS = 0.2
UNDER_WAY = {
    Run.STATE_PENDING,
    Run.STATE_QUEUED,
    Run.STATE_WAITING_ON_CONNECTIONS,
    Run.STATE_PREPROCESSING,
    Run.STATE_STARTED,
    Run.STATE_EXECUTING,
    Run.STATE_WAITING_TO_CONTINUE,
    Run.STATE_WAITING_TO_EXECUTE,
}

Answer = TypeVar("Answer")


def settings() -> tuple[str, str, str]:
    """The addresses of events and runs, and the key."""
    names = ("KONGFLOW_EVENTS", "KONGFLOW_RUNS", "KONGFLOW_API_KEY")
    if all(os.environ.get(name) for name in names):
        events, runs, key = (os.environ[name] for name in names)
        return events, runs, key
    folder = os.environ.get("KONGFLOW_STATE_DIR") or REPOSITORY / ".kongflow"
    system = json.loads((Path(folder) / "dev.json").read_text())
    return system["grpc"]["events"], system["grpc"]["runs"], system["api_key"]


def until(ask: Callable[[], Answer | None], what: str) -> Answer:
    """Asks until there is an answer; what is not there for a moment is asked again."""
    end = time.monotonic() + WATCH_SECONDS
    while time.monotonic() < end:
        try:
            answer = ask()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            answer = None
        if answer is not None:
            return answer
        time.sleep(STEP_SECONDS)
    raise TimeoutError(f"not within {WATCH_SECONDS:.0f} s: {what}")


def read(payload: Payload) -> Any:
    """The document of a message; None for null and for none."""
    match payload.WhichOneof("kind"):
        case "json":
            return json.loads(payload.json)
        case "value":
            return json_format.MessageToDict(payload.value)
        case _:
            return None


class Client:
    """An environment's events and runs."""

    def __init__(self, channel: Callable[[str], grpc.Channel], key: str) -> None:
        self._events = EventsServiceStub(channel("events"))
        self._runs = RunsServiceStub(channel("runs"))
        self._call: dict[str, Any] = {
            "metadata": (("authorization", f"Bearer {key}"),),
            "timeout": CALL_SECONDS,
        }

    def send(self, name: str, payload: str) -> str:
        """Sends an event; answers the id of its record."""
        # With an id of its own the call may be repeated: the event stays one.
        event = EventRecord(
            name=name, event_id=str(uuid.uuid4()), payload=Payload(json=payload.encode())
        )
        request = events_pb.SendEventRequest(event=event)
        answer = until(lambda: self._events.SendEvent(request, **self._call), "the answer")
        return str(answer.event_record.id)

    def processed(self, record_id: str) -> EventRecord:
        """The event, once it is known which jobs it starts."""
        request = events_pb.GetEventRecordRequest(id=record_id)

        def ask() -> EventRecord | None:
            record = self._events.GetEventRecord(request, **self._call).event_record
            return record if record.HasField("processed_time") else None

        return until(ask, "the event is processed")

    def ends(self, event: EventRecord) -> Iterator[Run]:
        """The runs of an event, each when it has ended."""
        wanted = min(event.matched_count, 1000)
        request = runs_pb.ListRunsRequest(filter=f'event_record_id = "{event.id}"', page_size=1000)

        def started() -> list[Run] | None:
            found = self._runs.ListRuns(request, **self._call).runs
            return list(found) if len(found) == wanted else None

        def end_of(run_id: str) -> Run | None:
            run = self._runs.GetRun(runs_pb.GetRunRequest(id=run_id), **self._call).run
            return None if run.state in UNDER_WAY else run

        for run in until(started, "the event's runs"):
            yield until(partial(end_of, run.id), "the end of a run")


def main() -> None:
    """Sends the event of the command line and prints its way."""
    name, payload = [*sys.argv[1:], "order.created", '{"amount": 250, "customer": "eve"}'][:2]
    events, runs, key = settings()
    with grpc.insecure_channel(events) as events_channel, grpc.insecure_channel(runs) as channel:
        client = Client({"events": events_channel, "runs": channel}.__getitem__, key)
        record_id = client.send(name, payload)
        print(f"sent      {record_id}")
        event = client.processed(record_id)
        print(f"matched   {event.matched_count} job(s)")
        for run in client.ends(event):
            state = Run.State.Name(run.state).removeprefix("STATE_").lower()
            print(f"{state:9} {run.job_slug} {json.dumps(read(run.output))}")


if __name__ == "__main__":
    try:
        main()
    except (grpc.RpcError, OSError) as error:
        sys.exit(error.details() if isinstance(error, grpc.RpcError) else str(error))
