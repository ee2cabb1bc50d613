"""The log file of one process: everything it wrote, as it wrote it, within a bounded size."""

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

MAX_BYTES = 20_000_000
KEPT_FILES = 2


class LogFile:
    """Appends lines; begins a new file when the current one is full, and keeps a few old ones."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT_FILES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._file = self._open()
        self._size = self._file.tell()

    def append(self, lines: Sequence[bytes]) -> None:
        """Writes the lines through to the file."""
        chunk = b"\n".join(lines) + b"\n"
        if self._size and self._size + len(chunk) > self._max_bytes:
            self._rotate()
        self._file.write(chunk)
        self._size += len(chunk)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _open(self) -> FileIO:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        file = FileIO(descriptor, "a")
        file.seek(0, os.SEEK_END)
        return file

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._file = self._open()
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
