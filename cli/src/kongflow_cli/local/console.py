"""The terminal: shown lines, without ever holding up the system that produces them."""

import os
import queue
import threading
from collections.abc import Sequence

_MAX_WAITING_BYTES = 4_000_000
_END_SECONDS = 2.0


class Console:
    """Writes lines to a file descriptor from a thread of its own.

    A terminal may be slow or held (Ctrl-S). Then lines are left out, and their number is told
    once it takes lines again; the log files have them all.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._left_out = 0
        self._gone = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write_all, name="console", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether lines given now would be shown; if not, formatting them is wasted."""
        return not self._gone and self._waiting_bytes < _MAX_WAITING_BYTES

    def show(self, lines: Sequence[str]) -> None:
        """Shows the lines soon, or counts them as left out."""
        if not lines or self._gone:
            return
        if not self.has_room:
            self.leave_out(len(lines))
            return
        if self._left_out:
            lines = [f"({self._left_out} lines not shown, see the log files)", *lines]
            self._left_out = 0
        chunk = ("\n".join(lines) + "\n").encode(errors="replace")
        with self._lock:
            self._waiting_bytes += len(chunk)
        self._queue.put(chunk)

    def leave_out(self, count: int) -> None:
        """Counts lines that were not given to `show` because there was no room."""
        self._left_out += count

    def close(self) -> None:
        """Writes what is waiting, for at most two seconds."""
        self._queue.put(None)
        self._thread.join(_END_SECONDS)

    def _write_all(self) -> None:
        while (chunk := self._queue.get()) is not None:
            rest = memoryview(chunk)
            while rest and not self._gone:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except OSError:
                    # The terminal or the reader of the pipe is gone; the system goes on.
                    self._gone = True
            with self._lock:
                self._waiting_bytes -= len(chunk)
