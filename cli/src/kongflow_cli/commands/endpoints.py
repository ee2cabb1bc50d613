"""`kongflow endpoints`: registers programs, and shows what they hold."""

from typing import Annotated

import typer

from kongflow.endpoints.v1 import endpoint_pb2, endpoints_service_pb2
from kongflow.endpoints.v1.endpoint_pb2 import Endpoint, EndpointIndex, EndpointIndexItem
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow_cli.client.endpoint_index import INDEX_DETAILS, INDEX_FAILED, wait_for_index
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, filtered_pages, in_environment, pages
from kongflow_cli.client.session import Session
from kongflow_cli.output.cells import Column, time_of, word
from kongflow_cli.output.documents import document_cell

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The programs that jobs run in, and what they hold.",
)

_SESSION = in_environment("endpoints")

_COLUMNS: list[Column[Endpoint]] = [
    Column("Slug", lambda endpoint: endpoint.slug),
    Column("Url", lambda endpoint: endpoint.url),
    Column("SDK", lambda endpoint: endpoint.sdk_version),
    Column("Created", lambda endpoint: time_of(endpoint, "create_time")),
    Column("Id", lambda endpoint: endpoint.id),
    Column("Protocol", lambda endpoint: endpoint.version, wide=True),
    Column("Changed", lambda endpoint: time_of(endpoint, "update_time"), wide=True),
]
_DETAILS: list[Column[Endpoint]] = [
    *_COLUMNS,
    Column("Hook", lambda endpoint: endpoint.indexing_hook_identifier),
    Column(
        "Executes",
        lambda endpoint: f"{endpoint.run_chunk_execution_limit.ToSeconds()} s at most",
    ),
]
_INDEX_COLUMNS: list[Column[EndpointIndex]] = [
    Column("Id", lambda index: index.id),
    Column("State", lambda index: word(EndpointIndex.State.Name, index.state, "STATE_")),
    Column("Source", lambda index: word(EndpointIndex.Source.Name, index.source, "SOURCE_")),
    Column("Jobs", lambda index: str(index.statistics.jobs)),
    Column("Created", lambda index: time_of(index, "create_time")),
    Column("Reason", lambda index: index.reason),
    Column("Error", lambda index: index.error.message),
]
_ITEM_COLUMNS: list[Column[EndpointIndexItem]] = [
    Column("Kind", lambda item: word(EndpointIndexItem.Kind.Name, item.kind, "KIND_")),
    Column("Key", lambda item: item.key),
    Column("Version", lambda item: item.version),
    Column("Outcome", lambda item: word(EndpointIndexItem.Outcome.Name, item.outcome, "OUTCOME_")),
    Column("Error", lambda item: item.error_message),
    Column("Warnings", lambda item: "; ".join(item.warnings)),
    Column("Metadata", lambda item: document_cell(item, "metadata"), wide=True),
]

_Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The id of the program's client.")]
_Key = Annotated[str, typer.Argument(metavar="SLUG|ID", help="Slug or id of the endpoint.")]
_Url = Annotated[str, typer.Argument(metavar="URL", help="Where the program listens.")]
_NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once, not when it has ended.")]


@app.command("create")
@with_options(session=_SESSION)
def create_endpoint(session: Session, slug: _Slug, url: _Url, *, no_wait: _NoWait = False) -> None:
    """Register a program, or give a registered one another URL, and have it indexed."""
    response = session.call(
        EndpointsServiceStub(session.channel).CreateEndpoint,
        endpoints_service_pb2.CreateEndpointRequest(endpoint=Endpoint(slug=slug, url=url)),
        repeat="Whether it was stored is not known; to repeat the command is harmless.",
    )
    if not session.printer.as_json:
        session.printer.resource(response.endpoint, _DETAILS)
    _show_index(session, response.endpoint_index, wait=not no_wait)


@app.command("validate")
@with_options(session=_SESSION)
def validate_endpoint(session: Session, url: _Url) -> None:
    """Ask a URL which endpoint listens there."""
    response = session.call(
        EndpointsServiceStub(session.channel).ValidateEndpoint,
        endpoints_service_pb2.ValidateEndpointRequest(url=url),
    )
    session.printer.resource(response, [Column("Slug", lambda found: found.slug)])


@app.command("get")
@with_options(session=_SESSION)
def get_endpoint(session: Session, key: _Key) -> None:
    """Show an endpoint."""
    session.printer.resource(_find(session, key), _DETAILS)


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_endpoints(session: Session, page: PageOptions) -> None:
    """List endpoints, the newest first."""
    stub = EndpointsServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[Endpoint], str]:
        response = session.call(
            stub.ListEndpoints,
            endpoints_service_pb2.ListEndpointsRequest(page_size=page_size, page_token=page_token),
        )
        return list(response.endpoints), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No endpoints.")


@app.command("index")
@with_options(session=_SESSION)
def index_endpoint(
    session: Session,
    key: _Key,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the index.")] = "",
    no_wait: _NoWait = False,
) -> None:
    """Ask an endpoint what it holds, and register it."""
    request = endpoints_service_pb2.IndexEndpointRequest(
        source=endpoint_pb2.EndpointIndex.SOURCE_MANUAL, reason=reason
    )
    _set_key(request, key)
    response = session.call(EndpointsServiceStub(session.channel).IndexEndpoint, request)
    if response.merged:
        session.printer.remark("An index that waits already is taken.")
    _show_index(session, response.endpoint_index, wait=not no_wait)


@app.command("indexes")
@with_options(session=_SESSION, page=pages)
def list_indexes(session: Session, page: PageOptions, key: _Key) -> None:
    """List the indexes of an endpoint, the newest first."""
    stub = EndpointsServiceStub(session.channel)
    endpoint_id = _find(session, key).id

    def fetch(page_size: int, page_token: str) -> tuple[list[EndpointIndex], str]:
        response = session.call(
            stub.ListEndpointIndexes,
            endpoints_service_pb2.ListEndpointIndexesRequest(
                endpoint_id=endpoint_id, page_size=page_size, page_token=page_token
            ),
        )
        return list(response.endpoint_indexes), response.next_page_token

    print_list(session.printer, page, fetch, _INDEX_COLUMNS, "No indexes.")


@app.command("items")
@with_options(session=_SESSION, page=filtered_pages)
def list_items(
    session: Session,
    page: PageOptions,
    index_id: Annotated[str, typer.Argument(metavar="INDEX", help="Id of the index.")],
    *,
    full: Annotated[
        bool, typer.Option("--full", help="With what the program says of each.")
    ] = False,
) -> None:
    """List what an index found, and what became of it."""
    stub = EndpointsServiceStub(session.channel)
    view = endpoints_service_pb2.ITEM_VIEW_FULL if full else endpoints_service_pb2.ITEM_VIEW_BASIC

    def fetch(page_size: int, page_token: str) -> tuple[list[EndpointIndexItem], str]:
        response = session.call(
            stub.ListEndpointIndexItems,
            endpoints_service_pb2.ListEndpointIndexItemsRequest(
                endpoint_index_id=index_id,
                page_size=page_size,
                page_token=page_token,
                filter=page.filter,
                view=view,
            ),
        )
        return list(response.endpoint_index_items), response.next_page_token

    print_list(session.printer, page, fetch, _ITEM_COLUMNS, "Nothing was found.")


@app.command("update")
@with_options(session=_SESSION)
def update_endpoint(
    session: Session,
    key: _Key,
    *,
    url: Annotated[str, typer.Option(help="Where it listens from now on.")] = "",
    execution_seconds: Annotated[
        int, typer.Option(help="How long one execution may take: 10 to 120; 0 leaves it.")
    ] = 0,
) -> None:
    """Change an endpoint; one with a new URL is indexed."""
    request = endpoints_service_pb2.UpdateEndpointRequest(
        endpoint=Endpoint(id=_find(session, key).id, url=url)
    )
    if url:
        request.update_mask.paths.append("url")
    if execution_seconds:
        request.endpoint.run_chunk_execution_limit.FromSeconds(execution_seconds)
        request.update_mask.paths.append("run_chunk_execution_limit")
    response = session.call(EndpointsServiceStub(session.channel).UpdateEndpoint, request)
    session.printer.resource(response.endpoint, _DETAILS)


@app.command("delete")
@with_options(session=_SESSION)
def delete_endpoint(session: Session, key: _Key) -> None:
    """Take the URL from an endpoint: nothing is sent to it any more."""
    endpoint = _find(session, key)
    session.call(
        EndpointsServiceStub(session.channel).DeleteEndpoint,
        endpoints_service_pb2.DeleteEndpointRequest(id=endpoint.id),
        repeat="Whether it was done is not known; to repeat the command is harmless.",
    )
    session.printer.remark(f"{endpoint.slug} has no URL any more.")


def _find(session: Session, key: str) -> Endpoint:
    request = endpoints_service_pb2.GetEndpointRequest()
    _set_key(request, key)
    return session.call(EndpointsServiceStub(session.channel).GetEndpoint, request).endpoint


def _set_key(
    request: endpoints_service_pb2.GetEndpointRequest | endpoints_service_pb2.IndexEndpointRequest,
    key: str,
) -> None:
    # Slugs have no colon and no 8-4-4-4-12 of digits that is an id by chance.
    if len(key) == 36 and key.count("-") == 4:
        request.id = key
    else:
        request.slug = key


def _show_index(session: Session, index: EndpointIndex, *, wait: bool) -> None:
    """Shows an index; one that failed ends the command."""
    if wait:
        index = wait_for_index(session, index)
    session.printer.resource(index, INDEX_DETAILS)
    if index.state == EndpointIndex.STATE_FAILURE or index.failed_items:
        raise typer.Exit(INDEX_FAILED)
