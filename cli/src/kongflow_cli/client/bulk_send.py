"""Many events, batch by batch, and what became of each line."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2 import SendEventResult, SendEventsRequest
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow_cli.client.call_failed import CallFailed
from kongflow_cli.client.exit_codes import USAGE, exit_code_of
from kongflow_cli.client.session import Session
from kongflow_cli.errors import CliError
from kongflow_cli.input.event_lines import EventLine, LineRefused

__all__ = ["send_lines"]

_BATCH_EVENTS: Final = 1_000
_BATCH_BYTES: Final = 4 * 1024 * 1024
_MOST_TOGETHER: Final = 10_000
_BEGINNING: Final = '{"items": ['
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def send_lines(session: Session, lines: Iterable[EventLine], *, together: bool) -> int:
    """Sends the events of the lines, in their order; returns the exit code.

    Each line has its own outcome, unless they are sent `together`: then all are stored or none.
    Raises CliError, which says which lines are stored.
    """
    report = _Report(session)
    is_done = False
    try:
        for batch in _together(lines) if together else _batches(lines):
            _send(session, batch, report, together=together)
        is_done = True
    finally:
        if is_done or report.has_begun:
            report.end()
    return report.exit_code


def _send(
    session: Session, batch: Sequence[EventLine], report: "_Report", *, together: bool
) -> None:
    request = SendEventsRequest(atomic=together)
    request.requests.extend(line.event for line in batch if not isinstance(line.event, LineRefused))
    results: Iterator[SendEventResult] = iter(())
    if request.requests:
        first, last = batch[0].number, batch[-1].number
        repeat = (
            f"Whether the lines {first} to {last} are stored is not known; to repeat them is "
            f"harmless where they have an id: --from-line {first}."
        )
        try:
            answer = session.call(
                EventsServiceStub(session.channel).SendEvents, request, repeat=repeat
            )
        except CallFailed as failed:
            if repeat in str(failed):
                raise
            if together:
                raise CliError(f"{failed} Nothing is stored.", failed.exit_code) from None
            if first > 1:
                raise CliError(
                    f"{failed} Line {first} and those behind it are not stored: "
                    f"--from-line {first} goes on.",
                    failed.exit_code,
                ) from None
            raise
        results = iter(answer.results)
    for line in batch:
        if isinstance(line.event, LineRefused):
            report.refused(line.number, grpc.StatusCode.INVALID_ARGUMENT, "", str(line.event))
            continue
        result = next(results)
        if result.status.code:
            code = _CODES.get(result.status.code, grpc.StatusCode.UNKNOWN)
            report.refused(line.number, code, _reason(result.status), result.status.message)
        else:
            report.stored(line.number, line.event.event.event_id, result)
    report.tell_progress()


def _batches(lines: Iterable[EventLine]) -> Iterator[Sequence[EventLine]]:
    batch: list[EventLine] = []
    size = 0
    for line in lines:
        added = 0 if isinstance(line.event, LineRefused) else line.event.ByteSize()
        if batch and (len(batch) >= _BATCH_EVENTS or size + added > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += added
    if batch:
        yield batch


def _together(lines: Iterable[EventLine]) -> Iterator[Sequence[EventLine]]:
    batch: list[EventLine] = []
    for line in lines:
        if isinstance(line.event, LineRefused):
            raise CliError(f"Line {line.number}: {line.event}. Nothing is stored.", USAGE)
        batch.append(line)
        if len(batch) > _MOST_TOGETHER:
            raise CliError(
                f"There are more than {_MOST_TOGETHER} events; so many cannot be stored together.",
                USAGE,
            )
    if batch:
        yield batch


def _reason(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        try:
            if detail.Unpack(info):
                return info.reason
        except DecodeError:
            continue
    return ""


class _Report:
    """Tells of each line as its outcome is known, and of all at the end."""

    def __init__(self, session: Session) -> None:
        self._printer = session.printer
        self._new = self._known = self._refused = 0
        self._shows_progress = sys.stderr.isatty()
        self._is_first = True
        self.exit_code = 0

    @property
    def has_begun(self) -> bool:
        """Whether the outcome of a line is known."""
        return self._new + self._known + self._refused > 0

    def stored(self, number: int, event_id: str, result: SendEventResult) -> None:
        """The event of a line is stored."""
        if result.is_new:
            self._new += 1
        else:
            self._known += 1
        if self._printer.as_json:
            self._item(
                {
                    "line": number,
                    "event_id": event_id,
                    "event_record_id": result.event_record_id,
                    "state": EventRecord.State.Name(result.state),
                    "is_new": result.is_new,
                }
            )

    def refused(self, number: int, code: grpc.StatusCode, reason: str, message: str) -> None:
        """The line has come to nothing."""
        self._refused += 1
        # Of several the first that may succeed later: to repeat the command helps then.
        if self.exit_code in (0, USAGE):
            self.exit_code = exit_code_of(code)
        self._clear_progress()
        said = f" ({reason})" if reason else ""
        self._printer.remark(f"Line {number}: {message.rstrip('.')}{said}.")
        if self._printer.as_json:
            error = {"code": code.name, "reason": reason, "message": message}
            self._item({"line": number, "error": error})

    def tell_progress(self) -> None:
        """Says how far it is, on a terminal."""
        if self._shows_progress:
            done = self._new + self._known + self._refused
            print(f"\r{done:,} events", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Says what became of all of them."""
        self._clear_progress()
        if self._printer.as_json:
            counts = {"new": self._new, "known": self._known, "refused": self._refused}
            print(f"{_BEGINNING if self._is_first else ''}], {json.dumps(counts)[1:]}")
        else:
            self._printer.line(
                f"{self._new:,} new, {self._known:,} known before, {self._refused:,} refused"
            )

    def _clear_progress(self) -> None:
        if self._shows_progress:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _item(self, item: dict[str, object]) -> None:
        print(f"{_BEGINNING}\n" if self._is_first else ",\n", json.dumps(item), sep="", end="")
        self._is_first = False
