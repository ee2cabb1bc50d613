"""CloudEvents in the JSON format, sent and shown."""

import sys
from collections.abc import Sequence
from typing import Final

import orjson

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.client.session import Session
from kongflow_cli.errors import CliError
from kongflow_cli.input.documents import Documents
from kongflow_cli.output.cells import Column

__all__ = ["send_cloud_events"]

_BATCH: Final = 500
_REPEAT: Final = (
    "Whether they are stored is not known; to repeat the command is harmless: they have ids."
)


def send_cloud_events(
    session: Session,
    file: str,
    options: pb.SendCloudEventRequest,
    columns: Sequence[Column[EventRecord]],
) -> int:
    """Sends the event of a file, or all of its batch; returns the exit code."""
    content = Documents().read("--cloudevent", file if file == "-" else f"@{file}")
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CliError(f"--cloudevent: that is not JSON: {error}.", USAGE) from None
    if not isinstance(value, list):
        answer = session.call(
            EventsServiceStub(session.channel).SendCloudEvent,
            _request(options, content),
            repeat=_REPEAT,
        )
        session.printer.resource(answer.event_record, columns)
        return 0
    code = 0
    for start in range(0, len(value), _BATCH):
        part = value[start : start + _BATCH]
        request = pb.SendCloudEventsRequest(
            requests=[_request(options, orjson.dumps(each)) for each in part]
        )
        answers = session.call(
            EventsServiceStub(session.channel).SendCloudEvents, request, repeat=_REPEAT
        )
        for number, result in enumerate(answers.results, start=start + 1):
            code = _show(session, number, result) or code
    return code


def _request(options: pb.SendCloudEventRequest, content: bytes) -> pb.SendCloudEventRequest:
    request = pb.SendCloudEventRequest()
    request.CopyFrom(options)
    request.cloud_event.json = content
    return request


def _show(session: Session, number: int, result: pb.SendEventResult) -> int:
    refused = result.status.code != 0
    if session.printer.as_json:
        outcome = {"error": result.status.message} if refused else {"id": result.event_record_id}
        session.printer.json_line({"number": number, **outcome})
    elif refused:
        print(f"{number}: {result.status.message}", file=sys.stderr)
    else:
        session.printer.line(f"{number}: {result.event_record_id}")
    for warning in result.schema_warnings:
        session.printer.remark(f"Warning: {number}: {warning}")
    return USAGE if refused else 0
