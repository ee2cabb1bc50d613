"""Answers clients: the endpoints of their environment."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kongflow.endpoints.v1 import endpoints_service_pb2 as pb
from kongflow_common.auth.principals import current_environment, current_principal
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.field_parsing import optional_enum, required_id, required_message
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.name_paging import name_page
from kongflow_common.rpc.page_size import fitting
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_endpoints.application.create_endpoint import CreateEndpoint
from kongflow_endpoints.application.index_endpoint import IndexEndpoint
from kongflow_endpoints.application.queries import ITEM_FILTER_FIELDS, EndpointQueries
from kongflow_endpoints.application.update_endpoint import DeleteEndpoint, UpdateEndpoint
from kongflow_endpoints.application.validate_endpoint import ValidateEndpoint
from kongflow_endpoints.domain.endpoint import checked_slug, checked_url
from kongflow_endpoints.rpc import mapping

_SHOWS_METADATA: Final[Mapping[int, bool]] = {pb.ITEM_VIEW_BASIC: False, pb.ITEM_VIEW_FULL: True}
_CHANGEABLE: Final = frozenset({"url", "run_chunk_execution_limit"})
_BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True)
class EndpointUseCases:
    """What clients may have done."""

    create: CreateEndpoint
    validate: ValidateEndpoint
    update: UpdateEndpoint
    delete: DeleteEndpoint
    index: IndexEndpoint
    queries: EndpointQueries


class EndpointsServicer:
    """kongflow.endpoints.v1.EndpointsService."""

    def __init__(self, use_cases: EndpointUseCases) -> None:
        self._do = use_cases
        self._queries = use_cases.queries

    async def CreateEndpoint(
        self, request: pb.CreateEndpointRequest, _context: object
    ) -> pb.CreateEndpointResponse:
        """Creates an endpoint."""
        required_message(request, "endpoint")
        with _within_endpoint():
            endpoint, index = await self._do.create(
                mapping.place_of(current_environment()),
                checked_slug(request.endpoint.slug, "slug"),
                checked_url(request.endpoint.url, "url"),
                environment_type=current_environment().type,
            )
        return pb.CreateEndpointResponse(
            endpoint=mapping.endpoint(endpoint), endpoint_index=mapping.index(index)
        )

    async def ValidateEndpoint(
        self, request: pb.ValidateEndpointRequest, _context: object
    ) -> pb.ValidateEndpointResponse:
        """Asks which endpoint listens at a URL."""
        url = checked_url(request.url, "url")
        slug = await self._do.validate(current_environment().environment_id, url)
        return pb.ValidateEndpointResponse(slug=slug)

    async def GetEndpoint(
        self, request: pb.GetEndpointRequest, _context: object
    ) -> pb.GetEndpointResponse:
        """Gets an endpoint."""
        environment_id = current_environment().environment_id
        found = await self._queries.endpoint(environment_id, mapping.endpoint_key(request))
        return pb.GetEndpointResponse(endpoint=mapping.endpoint(found))

    async def ListEndpoints(
        self, request: pb.ListEndpointsRequest, _context: object
    ) -> pb.ListEndpointsResponse:
        """Lists endpoints."""
        environment_id = current_environment().environment_id
        page = page_request(
            method="ListEndpoints",
            page_size=request.page_size,
            page_token=request.page_token,
            environment_id=environment_id,
        )
        found = await self._queries.endpoints(
            environment_id,
            (page.after.time, page.after.id) if page.after else None,
            page.size + 1,
        )
        shown = found[: page.size]
        token = ""
        if len(found) > page.size:
            token = page.next_page_token(PageCursor(shown[-1].created_at, shown[-1].id))
        return pb.ListEndpointsResponse(
            endpoints=map(mapping.endpoint, shown), next_page_token=token
        )

    async def UpdateEndpoint(
        self, request: pb.UpdateEndpointRequest, _context: object
    ) -> pb.UpdateEndpointResponse:
        """Changes an endpoint."""
        required_message(request, "endpoint")
        changed = frozenset(request.update_mask.paths)
        if not changed or not changed <= _CHANGEABLE:
            raise InvalidField(
                "update_mask", f"names one or more of {', '.join(sorted(_CHANGEABLE))}"
            )
        wanted = request.endpoint
        url = limit = None
        with _within_endpoint():
            endpoint_id = required_id(wanted.id, "id")
            if "url" in changed:
                url = checked_url(wanted.url, "url")
            if "run_chunk_execution_limit" in changed:
                limit = mapping.chunk_limit(
                    wanted.run_chunk_execution_limit, "run_chunk_execution_limit"
                )
            endpoint, index = await self._do.update(
                current_environment().environment_id,
                endpoint_id,
                url=url,
                run_chunk_execution_limit=limit,
            )
        return pb.UpdateEndpointResponse(
            endpoint=mapping.endpoint(endpoint),
            endpoint_index=None if index is None else mapping.index(index),
        )

    async def DeleteEndpoint(
        self, request: pb.DeleteEndpointRequest, _context: object
    ) -> pb.DeleteEndpointResponse:
        """Takes the URL from an endpoint."""
        environment_id = current_environment().environment_id
        await self._do.delete(environment_id, required_id(request.id, "id"))
        return pb.DeleteEndpointResponse()

    async def IndexEndpoint(
        self, request: pb.IndexEndpointRequest, _context: object
    ) -> pb.IndexEndpointResponse:
        """Asks for an index."""
        index, merged = await self._do.index(
            current_environment().environment_id,
            mapping.endpoint_key(request),
            mapping.new_index(request, current_principal()),
        )
        return pb.IndexEndpointResponse(endpoint_index=mapping.index(index), merged=merged)

    async def GetEndpointIndex(
        self, request: pb.GetEndpointIndexRequest, _context: object
    ) -> pb.GetEndpointIndexResponse:
        """Gets an index."""
        environment_id = current_environment().environment_id
        found = await self._queries.index(environment_id, required_id(request.id, "id"))
        return pb.GetEndpointIndexResponse(endpoint_index=mapping.index(found))

    async def ListEndpointIndexes(
        self, request: pb.ListEndpointIndexesRequest, _context: object
    ) -> pb.ListEndpointIndexesResponse:
        """Lists the indexes of an endpoint."""
        environment_id = current_environment().environment_id
        page = page_request(
            method="ListEndpointIndexes",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.endpoint_id,
            environment_id=environment_id,
        )
        found = await self._queries.indexes(
            environment_id,
            required_id(request.endpoint_id, "endpoint_id"),
            (page.after.time, page.after.id) if page.after else None,
            page.size + 1,
        )
        messages = fitting([mapping.index(each) for each in found[: page.size]])
        token = ""
        if len(found) > len(messages):
            last = found[len(messages) - 1]
            token = page.next_page_token(PageCursor(last.created_at, last.id))
        return pb.ListEndpointIndexesResponse(endpoint_indexes=messages, next_page_token=token)

    async def ListEndpointIndexItems(
        self, request: pb.ListEndpointIndexItemsRequest, _context: object
    ) -> pb.ListEndpointIndexItemsResponse:
        """Lists what an index found."""
        environment_id = current_environment().environment_id
        index_id: UUID = mapping.index_id(request.endpoint_index_id)
        page = name_page(
            "ListEndpointIndexItems",
            request,
            environment_id,
            within=f"{index_id} {request.filter}",
        )
        kind, _, key = page.after.partition(_BETWEEN)
        found = await self._queries.items(
            environment_id,
            index_id,
            parse_filter(request.filter, ITEM_FILTER_FIELDS),
            (kind, key) if kind else None,
            page.size + 1,
            with_metadata=optional_enum(request.view, "view", _SHOWS_METADATA) or False,
        )
        messages = fitting([mapping.item(each) for each in found[: page.size]])
        token = ""
        if len(found) > len(messages):
            last = found[len(messages) - 1]
            token = page.token_after(f"{last.kind.value}{_BETWEEN}{last.key}")
        return pb.ListEndpointIndexItemsResponse(
            endpoint_index_items=messages, next_page_token=token
        )


@contextmanager
def _within_endpoint() -> Iterator[None]:
    """Names fields as the request does, which holds them in its endpoint."""
    try:
        yield
    except InvalidField as error:
        raise error.within("endpoint") from None
