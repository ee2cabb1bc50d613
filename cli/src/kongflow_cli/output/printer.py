"""Prints what a command was asked for: a table or lines for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kongflow_cli.output.cells import Cell, Column, Word
from kongflow_cli.output.printable import printable, printable_lines
from kongflow_cli.output.proto_json import to_json
from kongflow_cli.output.times import absolute, relative

_M = TypeVar("_M", bound=Message)

_GAP = 2
# Lines that go to a program are as long as they are.
_UNLIMITED_WIDTH = 1_000_000


class Printer:
    """Writes results to stdout, remarks to stderr.

    The clock is asked when a time is printed: what a command waited for would lie ahead of its
    beginning.
    """

    def __init__(self, *, as_json: bool, wide: bool, clock: Callable[[], datetime]) -> None:
        self.as_json = as_json
        self._wide = wide
        self._clock = clock

    def resource(self, message: _M, columns: Sequence[Column[_M]]) -> None:
        """Prints one resource: a line per column, or the whole message as JSON."""
        if self.as_json:
            self.json_object(to_json(message))
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for column in columns:
            cell = column.read(message)
            if cell is not None and cell != "":
                table.add_row(column.header, self._whole(cell))
        _print_table(_console(), table)

    def json_object(self, content: object) -> None:
        """Prints one JSON object."""
        print(json.dumps(content, indent=2, ensure_ascii=not _writes_unicode()))

    def items(self, items: Iterator[_M], columns: Sequence[Column[_M]], nothing: str) -> None:
        """Prints a table with a row per item; for people only. `nothing` is said of none."""
        shown = [column for column in columns if self._wide or not column.wide]
        rows = [[self._short(column.read(item)) for column in shown] for item in items]
        if not rows:
            self.remark(nothing)
            return
        console = _console()
        headers = [column.header.upper() for column in shown]
        count = len(shown) if self._wide else _fitting(headers, rows, console.width)
        table = Table(
            box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", expand=False
        )
        for header in headers[:count]:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*row[:count])
        _print_table(console, table)

    def json_items(self, items: Iterator[Message]) -> None:
        """Prints the beginning of `{"items": [...]`, an item per line, as they come."""
        first = True
        print('{"items": [', end="")
        for item in items:
            line = json.dumps(to_json(item), ensure_ascii=not _writes_unicode())
            print("\n" if first else ",\n", line, sep="", end="")
            first = False

    def json_items_end(self, next_page_token: str) -> None:
        """Prints the rest of what `json_items` began."""
        print(f'], "next_page_token": {json.dumps(next_page_token)}}}')

    def row(self, message: _M, columns: Sequence[Column[_M]]) -> None:
        """Prints one line for people as it comes: the cells side by side, empty ones left out."""
        cells = [_text(self._as_text(column.read(message))) for column in columns]
        line = Text("  ").join(cell for cell in cells if cell)
        if sys.stdout.isatty():
            _console().print(line, soft_wrap=True)
        else:
            print(line.plain)
        sys.stdout.flush()

    def json_line(self, content: object) -> None:
        """Prints one JSON document on a line of its own as it comes."""
        print(json.dumps(content, ensure_ascii=not _writes_unicode()), flush=True)

    def line(self, text: str) -> None:
        """Prints a line as it is, for a key that will be copied."""
        print(text)

    def remark(self, text: str) -> None:
        """Says something beside the result."""
        print(printable_lines(text), file=sys.stderr)

    def _as_text(self, cell: Cell) -> str | Word | None:
        return absolute(cell) if isinstance(cell, Timestamp) else cell

    def _short(self, cell: Cell) -> Text:
        if isinstance(cell, Timestamp):
            return Text(absolute(cell) if self._wide else relative(cell, self._clock()))
        return _text(cell)

    def _whole(self, cell: Cell) -> Text:
        if isinstance(cell, Timestamp):
            return Text(f"{absolute(cell)} ({relative(cell, self._clock())})")
        return _text(cell, lines=True)


def _text(cell: str | Word | None, *, lines: bool = False) -> Text:
    if isinstance(cell, Word):
        return Text(printable(cell.text), style=cell.style)
    return Text((printable_lines if lines else printable)(cell or ""))


def _console() -> Console:
    if sys.stdout.isatty():
        return Console(file=sys.stdout, highlight=False)
    return Console(file=sys.stdout, highlight=False, width=_UNLIMITED_WIDTH, no_color=True)


def _print_table(console: Console, table: Table) -> None:
    if console.is_terminal:
        console.print(table)
        return
    # The last column is filled up with spaces, which no program wants.
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _fitting(headers: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> int:
    """Returns how many columns fit side by side; at least two, which are folded if need be."""
    used = 0
    for index, header in enumerate(headers):
        used += max(cell_len(header), *(row[index].cell_len for row in rows)) + _GAP
        if used - _GAP > width and index >= 2:
            return index
    return len(headers)


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
