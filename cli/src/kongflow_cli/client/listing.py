"""Lists, page by page, as far as the user wants them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from google.protobuf.message import Message

from kongflow_cli.client.options import PageOptions
from kongflow_cli.errors import CliError
from kongflow_cli.output.cells import Column
from kongflow_cli.output.printer import Printer

_Item = TypeVar("_Item", bound=Message)

_MAX_PAGE_SIZE = 1_000

FetchPage = Callable[[int, str], tuple[Sequence[_Item], str]]
"""Given a page size and a page token, answers the items and the token of the next page."""


@dataclass
class Listing(Generic[_Item]):
    """The items of a list in their order; `next_page_token` counts once they have ended."""

    fetch: FetchPage[_Item]
    page: PageOptions
    next_page_token: str = field(default="", init=False)

    def __iter__(self) -> Iterator[_Item]:
        wanted = self.page.limit
        token = self.page.page_token
        while True:
            size = _MAX_PAGE_SIZE if wanted is None else min(wanted, _MAX_PAGE_SIZE)
            items, following = self.fetch(size, token)
            yield from items
            self.next_page_token = following
            if wanted is not None:
                wanted -= len(items)
            if not following or (wanted is not None and wanted <= 0):
                return
            if following == token:
                raise CliError("The list does not end: the server repeats a page.")
            token = following


def print_list(
    printer: Printer,
    page: PageOptions,
    fetch: FetchPage[_Item],
    columns: Sequence[Column[_Item]],
    nothing: str,
) -> None:
    """Prints a list; `nothing` is what people are told when it is empty."""
    listing = Listing(fetch, page)
    if printer.as_json:
        printer.json_items(iter(listing))
        printer.json_items_end(listing.next_page_token)
        return
    printer.items(iter(listing), columns, nothing)
    if listing.next_page_token:
        printer.remark("There are more: --limit and --all show them.")
