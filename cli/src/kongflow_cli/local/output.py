"""What the processes write: into a log file each, and to the terminal as far as it keeps up."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from kongflow_cli.local.console import Console
from kongflow_cli.local.log_files import LogFile
from kongflow_cli.local.log_lines import LineFormatter, LineStyle, printable

_READ_BYTES = 65_536
_LONGEST_LINE = 1_000_000
_TAIL_LINES = 20
TAIL_FOLLOWS = " Its last lines:"


class ProcessOutput:
    """The lines of one process, over all its lives."""

    def __init__(self, file: LogFile, formatter: LineFormatter, console: Console | None) -> None:
        self._file = file
        self._formatter = formatter
        self._console = console
        self._last: deque[bytes] = deque(maxlen=_TAIL_LINES)

    def take(self, lines: Sequence[bytes]) -> None:
        """Logs the lines and shows them."""
        self._file.append(lines)
        self._last.extend(lines[-_TAIL_LINES:])
        if self._console is None:
            return
        if self._console.has_room:
            self._console.show(self._formatter.format(lines, clock()))
        else:
            self._console.leave_out(len(lines))

    def tail(self) -> list[str]:
        """Returns the last lines as shown, to explain a failure."""
        return self._formatter.format(list(self._last), clock())

    def close(self) -> None:
        """Closes the log file."""
        self._file.close()


def explain(sentence: str, output: ProcessOutput) -> str:
    """Returns a sentence about a failed process together with the last that it wrote."""
    return "\n".join([sentence + TAIL_FOLLOWS, *output.tail()])


class OutputBoard:
    """Makes the outputs of all processes alike, and says the supervisor's own lines."""

    def __init__(
        self, folder: Path, console: Console, style: LineStyle, *, show_processes: bool
    ) -> None:
        self._folder = folder
        self._console = console
        self._style = style
        self._show_processes = show_processes
        self._outputs: dict[str, ProcessOutput] = {}
        self._own = LogFile(folder / "supervisor.log")

    def of(self, name: str) -> ProcessOutput:
        """Returns the output of the process `name`."""
        if name not in self._outputs:
            self._outputs[name] = ProcessOutput(
                LogFile(self._folder / f"{name}.log"),
                LineFormatter(name, len(self._outputs) + 1, self._style),
                self._console if self._show_processes else None,
            )
        return self._outputs[name]

    def say(self, text: str) -> None:
        """Says something in the supervisor's own name."""
        text = printable(text)
        now = datetime.now().astimezone()
        self._own.append([f"{now.isoformat(timespec='milliseconds')} {text}".encode()])
        prefix = self._style.prefix(clock(), "kongflow", 0)
        self._console.show([prefix + text])

    def close(self) -> None:
        """Closes all log files."""
        for output in self._outputs.values():
            output.close()
        self._own.close()


class OutputReader:
    """Reads a pipe in the event loop and hands on whole lines."""

    def __init__(self, descriptor: int, take: Callable[[Sequence[bytes]], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._open = True
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def close(self) -> None:
        """Hands on what is there and stops reading."""
        while self._open and self._read():
            pass
        self._end()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._end()
            return False
        complete, newline, rest = (self._rest + chunk).rpartition(b"\n")
        if newline:
            self._take(complete.split(b"\n"))
        if len(rest) > _LONGEST_LINE:
            self._take([rest])
            rest = b""
        self._rest = rest
        return True

    def _end(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._rest:
            self._take([self._rest])
            self._rest = b""


def clock() -> str:
    """Returns the local time of day to the millisecond."""
    return datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
