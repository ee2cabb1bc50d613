"""EndpointsService over a real channel: what its callers may do, and what they are told."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.endpoints.v1 import endpoints_service_pb2 as pb
from kongflow.endpoints.v1.endpoint_pb2 import Endpoint, EndpointIndex, EndpointIndexItem
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import InProcessServer
from kongflow_common.testing.refusals import refusal
from services.endpoints.tests.conftest import KeptJobs, Keys, Programs, described, speaks
from services.endpoints.tests.contract.conftest import Metadata
from services.endpoints.tests.contract.worker import perform, register

if TYPE_CHECKING:
    from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceAsyncStub


@pytest.fixture
def stub(server: InProcessServer) -> "EndpointsServiceAsyncStub":
    return EndpointsServiceStub(server.channel)


def creation(url: str, slug: str = "shop") -> pb.CreateEndpointRequest:
    return pb.CreateEndpointRequest(endpoint=Endpoint(slug=slug, url=url))


async def test_an_endpoint_is_created_indexed_and_shown(
    server: InProcessServer,
    here: EnvironmentScope,
    mine: Metadata,
    stub: "EndpointsServiceAsyncStub",
    programs: Programs,
    jobs: KeptJobs,
) -> None:
    jobs.refused = {"refused"}
    other = await programs(
        speaks(described("a"), described("refused"), dynamicTriggers=[{"id": "d", "jobs": []}])
    )
    assert (
        await stub.ValidateEndpoint(pb.ValidateEndpointRequest(url=other.url), metadata=mine)
    ).slug == "shop"
    created = await stub.CreateEndpoint(creation(other.url), metadata=mine)
    endpoint, index = created.endpoint, created.endpoint_index
    assert (endpoint.slug, endpoint.url, endpoint.version) == ("shop", other.url, "2023-09-29")
    assert len(endpoint.indexing_hook_identifier) == 10
    assert endpoint.run_chunk_execution_limit == Duration(seconds=60)
    assert (index.state, index.source) == (
        EndpointIndex.STATE_PENDING,
        EndpointIndex.SOURCE_INTERNAL,
    )
    await perform(server, here, index.id)
    items = pb.ListEndpointIndexItemsRequest(endpoint_index_id=index.id)
    listed = (await stub.ListEndpointIndexItems(items, metadata=mine)).endpoint_index_items
    pending = [each.id for each in listed if each.outcome == EndpointIndexItem.OUTCOME_PENDING]
    assert await register(server, here, index.id, *pending) == [0, 0]

    request = pb.GetEndpointIndexRequest(id=index.id)
    ended = (await stub.GetEndpointIndex(request, metadata=mine)).endpoint_index
    assert ended.state == EndpointIndex.STATE_SUCCESS
    counts = ended.statistics
    assert (counts.jobs, counts.failed, counts.deferred, counts.dynamic_triggers) == (1, 1, 1, 1)
    assert [(each.key, each.error_message) for each in ended.failed_items] == [
        ("refused", "metadata.trigger: is refused")
    ]
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        page = await stub.ListEndpointIndexItems(
            pb.ListEndpointIndexItemsRequest(
                endpoint_index_id=index.id,
                page_size=1,
                page_token=token,
                view=pb.ITEM_VIEW_FULL,
            ),
            metadata=mine,
        )
        pages.append([each.key for each in page.endpoint_index_items])
        assert page.endpoint_index_items[0].HasField("metadata")
        token = page.next_page_token
    assert pages == [["d"], ["a"], ["refused"]]
    items.filter = 'outcome = "FAILED"'
    failed = (await stub.ListEndpointIndexItems(items, metadata=mine)).endpoint_index_items
    assert [each.key for each in failed] == ["refused"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is required"),
        ("ftp://example.com/", "must begin with http"),
        ("http://user:hidden@example.com/", "must not hold credentials"),
        ("http://example.com:0/", "names the port 0"),
        ("http://a b/", "characters that no URL has"),
        (f"http://example.com/{'a' * 2048}", "at most 2048"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://[ff02::1]/", "ff02::1"),
    ],
)
async def test_urls_that_may_not_be_called_are_refused(
    mine: Metadata, stub: "EndpointsServiceAsyncStub", url: str, words: str
) -> None:
    with refusal() as refused:
        await stub.CreateEndpoint(creation(url), metadata=mine)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in refused.fields["endpoint.url"]
    assert "hidden" not in str(refused.error)
    with refusal() as refused:
        await stub.ValidateEndpoint(pb.ValidateEndpointRequest(url=url), metadata=mine)
    assert set(refused.fields) == {"url"}
    assert not (await stub.ListEndpoints(pb.ListEndpointsRequest(), metadata=mine)).endpoints


@pytest.mark.parametrize("slug", ["", " ", "a/b", "é", "-a", "a" * 101, "a\n"])
async def test_slugs_that_are_none_are_refused(
    mine: Metadata, stub: "EndpointsServiceAsyncStub", slug: str
) -> None:
    with refusal() as refused:
        await stub.CreateEndpoint(creation("http://127.0.0.1:1/", slug), metadata=mine)
    assert set(refused.fields) == {"endpoint.slug"}


async def test_a_ping_that_fails_is_told(
    mine: Metadata, stub: "EndpointsServiceAsyncStub", programs: Programs, keys: Keys
) -> None:
    other = await programs(speaks(slug="other"))
    with refusal() as refused:
        await stub.CreateEndpoint(creation(other.url), metadata=mine)
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ENDPOINT_PING_FAILED",
    )
    assert "Expected other, got shop" in refused.message
    # A program's words are cut to what fits in an answer.
    other.handle = lambda _headers, _body: (200, {}, b'{"ok":false,"error":"%s"}' % (b"e" * 60_000))
    with refusal() as refused:
        await stub.CreateEndpoint(creation(other.url), metadata=mine)
    assert refused.reason == "ENDPOINT_PING_FAILED"


async def test_who_waits_less_than_a_program_may_take_is_told_that_it_stalls(
    mine: Metadata, stub: "EndpointsServiceAsyncStub", programs: Programs
) -> None:
    stalls = await programs(speaks())
    stalls.stalls = True
    calls: tuple[Awaitable[object], ...] = (
        stub.CreateEndpoint(creation(stalls.url), metadata=mine, timeout=1.0),
        stub.ValidateEndpoint(
            pb.ValidateEndpointRequest(url=stalls.url), metadata=mine, timeout=1.0
        ),
    )
    for call in calls:
        with refusal() as refused:
            await call
        assert refused.reason == "ENDPOINT_PING_FAILED"
        assert "no answer within 0." in refused.message


async def test_an_endpoint_is_changed_and_deleted(
    mine: Metadata, stub: "EndpointsServiceAsyncStub", programs: Programs
) -> None:
    first, second = await programs(speaks()), await programs(speaks())
    created = (await stub.CreateEndpoint(creation(first.url), metadata=mine)).endpoint

    async def update(path: str, **values: object) -> pb.UpdateEndpointResponse:
        request = pb.UpdateEndpointRequest(
            endpoint=Endpoint(id=created.id, **values),  # type: ignore[arg-type]
            update_mask=FieldMask(paths=[path]),
        )
        return await stub.UpdateEndpoint(request, metadata=mine)

    moved = await update("url", url=second.url)
    assert (moved.endpoint.url, moved.endpoint_index.state) == (
        second.url,
        EndpointIndex.STATE_PENDING,
    )
    limited = await update(
        "run_chunk_execution_limit", run_chunk_execution_limit=Duration(seconds=90)
    )
    assert limited.endpoint.run_chunk_execution_limit == Duration(seconds=90)
    assert limited.endpoint.url == second.url
    assert not limited.HasField("endpoint_index")
    for path, values, field in (
        ("slug", {"slug": "x"}, "update_mask"),
        ("url", {"url": "nowhere"}, "endpoint.url"),
        ("url", {"url": "http://169.254.169.254/"}, "endpoint.url"),
        (
            "run_chunk_execution_limit",
            {"run_chunk_execution_limit": Duration(seconds=9)},
            "endpoint.run_chunk_execution_limit",
        ),
    ):
        with refusal() as refused:
            await update(path, **values)
        assert set(refused.fields) == {field}
    for _ in range(2):
        await stub.DeleteEndpoint(pb.DeleteEndpointRequest(id=created.id), metadata=mine)
    shown = (await stub.GetEndpoint(pb.GetEndpointRequest(slug="shop"), metadata=mine)).endpoint
    assert shown.url == ""
    with refusal() as refused:
        await stub.IndexEndpoint(pb.IndexEndpointRequest(slug="shop"), metadata=mine)
    assert refused.reason == "ENDPOINT_HAS_NO_URL"


async def test_indexes_are_asked_for_merged_and_listed(
    mine: Metadata, stub: "EndpointsServiceAsyncStub", programs: Programs
) -> None:
    other = await programs(speaks())
    created = await stub.CreateEndpoint(creation(other.url), metadata=mine)
    request = pb.IndexEndpointRequest(
        slug="shop",
        source=EndpointIndex.SOURCE_MANUAL,
        reason="deployed",
        data=Payload(json=b'{"commit":"c0ffee"}'),
    )
    asked = await stub.IndexEndpoint(request, metadata=mine)
    assert not asked.merged
    assert (asked.endpoint_index.reason, asked.endpoint_index.source) == (
        "deployed",
        EndpointIndex.SOURCE_MANUAL,
    )
    again = await stub.IndexEndpoint(request, metadata=mine)
    assert again.merged
    assert again.endpoint_index == asked.endpoint_index
    for source in (EndpointIndex.SOURCE_HOOK, EndpointIndex.SOURCE_INTERNAL):
        with refusal() as refused:
            await stub.IndexEndpoint(
                pb.IndexEndpointRequest(slug="shop", source=source), metadata=mine
            )
        assert set(refused.fields) == {"source"}
    seen: list[str] = []
    token = ""
    while not seen or token:
        page = await stub.ListEndpointIndexes(
            pb.ListEndpointIndexesRequest(
                endpoint_id=created.endpoint.id, page_size=1, page_token=token
            ),
            metadata=mine,
        )
        seen += [each.id for each in page.endpoint_indexes]
        token = page.next_page_token
    assert seen == [asked.endpoint_index.id, created.endpoint_index.id]


async def test_a_page_of_indexes_with_much_data_fits_into_an_answer(
    server: InProcessServer,
    here: EnvironmentScope,
    mine: Metadata,
    stub: "EndpointsServiceAsyncStub",
    programs: Programs,
) -> None:
    other = await programs(speaks())
    created = await stub.CreateEndpoint(creation(other.url), metadata=mine)
    data = Payload(json=b'"%s"' % (b"x" * 500_000))
    asked = [created.endpoint_index.id]
    for _ in range(10):
        await perform(server, here, asked[-1])
        request = pb.IndexEndpointRequest(slug="shop", data=data)
        asked.append((await stub.IndexEndpoint(request, metadata=mine)).endpoint_index.id)
    seen: list[str] = []
    token = ""
    while not seen or token:
        page = await stub.ListEndpointIndexes(
            pb.ListEndpointIndexesRequest(endpoint_id=created.endpoint.id, page_token=token),
            metadata=mine,
        )
        seen += [each.id for each in page.endpoint_indexes]
        token = page.next_page_token
    assert seen == asked[::-1]


async def test_a_stranger_is_told_that_there_is_nothing(
    mine: Metadata, strangers: Metadata, stub: "EndpointsServiceAsyncStub", programs: Programs
) -> None:
    other = await programs(speaks())
    created = await stub.CreateEndpoint(creation(other.url), metadata=mine)
    endpoint_id, index_id = created.endpoint.id, created.endpoint_index.id
    calls: tuple[tuple[Callable[..., Any], object], ...] = (
        (stub.GetEndpoint, pb.GetEndpointRequest(id=endpoint_id)),
        (stub.GetEndpoint, pb.GetEndpointRequest(slug="shop")),
        (stub.DeleteEndpoint, pb.DeleteEndpointRequest(id=endpoint_id)),
        (stub.IndexEndpoint, pb.IndexEndpointRequest(id=endpoint_id)),
        (stub.GetEndpointIndex, pb.GetEndpointIndexRequest(id=index_id)),
        (stub.ListEndpointIndexes, pb.ListEndpointIndexesRequest(endpoint_id=endpoint_id)),
        (
            stub.ListEndpointIndexItems,
            pb.ListEndpointIndexItemsRequest(endpoint_index_id=index_id),
        ),
        (
            stub.UpdateEndpoint,
            pb.UpdateEndpointRequest(
                endpoint=Endpoint(id=endpoint_id, url=other.url),
                update_mask=FieldMask(paths=["url"]),
            ),
        ),
        (stub.GetEndpoint, pb.GetEndpointRequest(id=str(new_id()))),
    )
    for call, request in calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request, metadata=strangers)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await stub.ListEndpoints(pb.ListEndpointsRequest(), metadata=strangers)).endpoints
    # The same slug is the stranger's own endpoint.
    theirs = await stub.CreateEndpoint(creation(other.url), metadata=strangers)
    assert theirs.endpoint.id != endpoint_id
