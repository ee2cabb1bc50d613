"""Log lines: one JSON object each on stderr, cheap enough for one per call.

Fields go into `extra={"fields": {...}}`. The trace is taken from the task's context, or from
`extra={"trace_id": ...}` where a line speaks for another trace. How lines are written, and what
of them is blanked, stands in `kongflow_common.log_lines`.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Literal, Protocol, cast

from kongflow_common.log_lines import EACH, JsonLineFormatter, TextLineFormatter

__all__ = ["GatheredLines", "configure_logging", "log_each"]

LogFormat = Literal["json", "text"]


class BinaryStream(Protocol):
    """Where lines go, unbuffered; `write` says how much of it was written."""

    def write(self, data: bytes, /) -> int | None: ...


def log_each(
    logger: logging.Logger, message: str, lines: Iterable[tuple[str, Mapping[str, object]]]
) -> None:
    """Write a line at INFO for each of many, given as trace id and fields.

    They are one record, which takes a fifth of what as many would.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    each = list(lines)
    if len(each) > 1:
        logger.info(message, extra={EACH: each})
    elif each:
        trace_id, fields = each[0]
        logger.info(message, extra={"trace_id": trace_id, "fields": fields})


class GatheredLines:
    """Lines at INFO with one message that many tasks write in the same turn of the loop.

    They become one record, as with `log_each`, in the turn that follows.
    """

    def __init__(self, logger: logging.Logger, message: str) -> None:
        self._logger = logger
        self._message = message
        self._lines: list[tuple[str, Mapping[str, object]]] = []

    def add(self, trace_id: str, fields: Mapping[str, object]) -> None:
        """Write a line soon; only inside a loop."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append((trace_id, fields))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        log_each(self._logger, self._message, lines)


_FLUSH_SECONDS = 0.010


class _LineHandler(logging.Handler):
    """Writes whole lines.

    A system call costs more than the line that it writes: inside an event loop lines leave
    together, 10 ms after the first of them. What is a warning or worse leaves at once, with what
    came before it; so does every line outside of a loop.
    """

    def __init__(self, stream: BinaryStream) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []
        self._flush_is_due = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
            if self._flush_is_due and record.levelno < logging.WARNING:
                return
            if record.levelno >= logging.WARNING or not self._flush_soon():
                self.flush()
        except Exception:  # noqa: BLE001 - reported the way logging reports its own failures
            self.handleError(record)

    def flush(self) -> None:
        """Write the lines that are held; also called by logging at the end of the process."""
        with self.lock or nullcontext():
            self._flush_is_due = False
            if not self._lines:
                return
            self._lines.append("")
            data = "\n".join(self._lines).encode(errors="replace")
            self._lines.clear()
            written = self._stream.write(data) or 0
            while written < len(data):
                written += self._stream.write(data[written:]) or 0

    def _flush_soon(self) -> bool:
        """Have the loop of this thread flush in a moment; False when none runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._flush_is_due = True
        loop.call_later(_FLUSH_SECONDS, self._flush_in_loop)
        return True

    def _flush_in_loop(self) -> None:
        try:
            self.flush()
        except OSError:
            # Nobody reads any more; the next line says so the way logging does.
            self._lines.clear()


class _LeanRecord(logging.LogRecord):
    """A record without what no line shows: taking the path of a file apart is half its cost."""

    def __init__(  # noqa: PLR0917 - the signature is logging's
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        sinfo: str | None = None,
        **_: object,
    ) -> None:
        self.name = name
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.msg = cast("str", msg)
        if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
            args = args[0]
        self.args = args
        self.exc_info = exc_info
        self.exc_text = None
        self.stack_info = sinfo
        self.pathname = self.filename = pathname
        self.module = ""
        self.lineno = lineno
        self.funcName = func or ""
        self.created = time.time()
        self.msecs = int((self.created - int(self.created)) * 1000) + 0.0
        self.relativeCreated = 0.0
        self.thread = self.threadName = self.process = self.processName = None


def _stderr() -> BinaryStream:
    sys.stderr.flush()
    # A buffer would need a flush a line. Something that stands in for stderr may have none.
    return cast("BinaryStream", getattr(sys.stderr.buffer, "raw", sys.stderr.buffer))


def configure_logging(
    service: str,
    instance: str,
    level: str = "INFO",
    log_format: LogFormat = "json",
    *,
    stream: BinaryStream | None = None,
) -> None:
    """Send all log records of the process to `stream` (stderr), replacing earlier handlers."""
    handler = _LineHandler(stream or _stderr())
    handler.setFormatter(
        JsonLineFormatter(service, instance) if log_format == "json" else TextLineFormatter(service)
    )
    root = logging.getLogger()
    for earlier in root.handlers[:]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # No line shows these, and collecting them is half of a record's cost: the optimisations
    # that the documentation of `logging` names.
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False
    # Read since Python 3.12.
    setattr(logging, "logAsyncioTasks", False)  # noqa: B010
    logging._srcfile = ""
    logging.setLogRecordFactory(_LeanRecord)
    logging.captureWarnings(True)
