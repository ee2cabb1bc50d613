"""Lists over a real channel: pages, filters, sizes, bounds."""

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.testing.refusals import refusal
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext


async def list_events(
    context: EventsContext,
    *,
    page_size: int = 0,
    page_token: str = "",
    filter: str = "",  # noqa: A002 - the field's name
    view: pb.View.ValueType = pb.VIEW_UNSPECIFIED,
) -> pb.ListEventRecordsResponse:
    return await context.client.ListEventRecords(
        pb.ListEventRecordsRequest(
            page_size=page_size, page_token=page_token, filter=filter, view=view
        ),
        metadata=context.as_sender,
        timeout=10,
    )


async def test_events_come_newest_first_and_page_by_page(context: EventsContext) -> None:
    sent = [(await context.send(f"event.{n}")).id for n in range(5)]
    seen: list[str] = []
    token = ""
    for expected in (2, 2, 1):
        page = await list_events(context, page_size=2, page_token=token)
        assert len(page.event_records) == expected
        seen.extend(record.id for record in page.event_records)
        token = page.next_page_token
    assert not token
    assert seen == sent[::-1]


async def test_events_that_come_in_meanwhile_do_not_shift_the_pages(
    context: EventsContext,
) -> None:
    sent = [(await context.send()).id for _ in range(4)]
    first = await list_events(context, page_size=2)
    await context.send()
    second = await list_events(context, page_size=2, page_token=first.next_page_token)
    assert [record.id for record in second.event_records] == [sent[1], sent[0]]
    assert not second.next_page_token


async def test_filters(context: EventsContext) -> None:
    await context.put("job", "matched")
    matched = await context.send("matched", event_id="m")
    unmatched = await context.send("unmatched", event_id="u", source="shop")
    await context.deliver(matched, unmatched)
    pending = await context.send("matched", event_id="p", deliver_after=3600)
    cancelled = await context.send("matched", event_id="c", deliver_after=7200)
    await context.cancel(cancelled.id)
    expected = {
        'name = "matched"': "cpm",
        'name != "matched"': "u",
        "state = DELIVERED": "m",
        "state = UNMATCHED": "u",
        "state = PENDING": "p",
        "state = CANCELLED": "c",
        'state = "PENDING" OR state = "CANCELLED"': "cp",
        'source = "shop"': "u",
        "test = true": "",
        "NOT test = true": "cpum",
        f"deliver_time > {pending.create_time.ToJsonString()}": "cp",
        'create_time < "2020-01-01T00:00:00Z"': "",
    }
    for text, events in expected.items():
        page = await list_events(context, filter=text)
        assert "".join(record.event_id for record in page.event_records) == events, text


async def test_content_is_shown_when_asked_for(context: EventsContext) -> None:
    await context.send(payload={"n": 1})
    [basic] = (await list_events(context)).event_records
    assert not basic.HasField("payload")
    [full] = (await list_events(context, view=pb.VIEW_FULL)).event_records
    assert content_of(full.payload) == {"n": 1}
    assert content_of(full.context) == {}


async def test_page_ends_early_where_the_content_would_not_fit(context: EventsContext) -> None:
    for _ in range(9):
        await context.send(payload="x" * 500_000)
    seen: list[EventRecord] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await list_events(context, view=pb.VIEW_FULL, page_token=token)
        seen.extend(page.event_records)
        token, pages = page.next_page_token, pages + 1
    assert pages == 2
    assert len({record.id for record in seen}) == 9


async def test_page_ends_early_where_the_names_would_not_fit(context: EventsContext) -> None:
    await context.database.pool.execute(
        """
        INSERT INTO events.event_records (id, event_id, name, source, organization_id,
                                          environment_id, project_id)
        SELECT gen_random_uuid(), n || repeat('é', 500), repeat('é', 512), repeat('é', 512),
               %(organization)s, %(environment)s, %(project)s
          FROM generate_series(1, 1200) n
        """,
        {
            "organization": context.environment.organization_id,
            "environment": context.environment.environment_id,
            "project": context.environment.project_id,
        },
    )
    first = await list_events(context, page_size=1000)
    assert 500 < len(first.event_records) < 1000
    rest = await list_events(context, page_size=1000, page_token=first.next_page_token)
    assert len(first.event_records) + len(rest.event_records) == 1200


async def test_pages_of_dispatchers(context: EventsContext) -> None:
    for n in range(60):
        await context.put(f"job-{n}", enabled=n % 2 == 0)
    listed: list[str] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await context.client.ListEventDispatchers(
            pb.ListEventDispatchersRequest(page_size=29, page_token=token, filter="enabled = true"),
            metadata=context.as_sender,
            timeout=10,
        )
        listed.extend(each.dispatchable_id for each in page.event_dispatchers)
        token, pages = page.next_page_token, pages + 1
    assert listed == [f"job-{n}" for n in range(58, -1, -2)]
    assert pages == 2


async def test_large_filters_end_a_page_of_dispatchers_early(context: EventsContext) -> None:
    for n in range(8):
        await context.put(f"job-{n}", payload_filter={"a": ["x" * 500_000]})
    request = pb.ListEventDispatchersRequest()
    first = await context.client.ListEventDispatchers(
        request, metadata=context.as_sender, timeout=10
    )
    assert 0 < len(first.event_dispatchers) < 8
    request.page_token = first.next_page_token
    rest = await context.client.ListEventDispatchers(
        request, metadata=context.as_sender, timeout=10
    )
    assert len(first.event_dispatchers) + len(rest.event_dispatchers) == 8
    assert not rest.next_page_token


async def test_lists_hold_only_the_environments_own(context: EventsContext) -> None:
    await context.send()
    await context.put()
    other = context.server.credentials.add_environment()
    stranger = (("authorization", f"Bearer {context.server.credentials.add_secret_key(other)}"),)
    events = await context.client.ListEventRecords(
        pb.ListEventRecordsRequest(), metadata=stranger, timeout=5
    )
    dispatchers = await context.client.ListEventDispatchers(
        pb.ListEventDispatchersRequest(), metadata=stranger, timeout=5
    )
    assert not events.event_records
    assert not dispatchers.event_dispatchers


async def test_token_of_another_list_is_refused(context: EventsContext) -> None:
    for n in range(2):
        await context.send()
        await context.put(f"job-{n}")
    token = (await list_events(context, page_size=1)).next_page_token
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await list_events(context, page_token=token, filter="test = true")
    assert list(refused.fields) == ["page_token"]
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.ListEventDispatchers(
            pb.ListEventDispatchersRequest(page_token=token),
            metadata=context.as_sender,
            timeout=5,
        )
    assert list(refused.fields) == ["page_token"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListEventRecordsRequest(page_size=-1), "page_size"),
        (pb.ListEventRecordsRequest(page_token="?"), "page_token"),
        (pb.ListEventRecordsRequest(filter="payload = 1"), "filter"),
        (pb.ListEventRecordsRequest(filter="state = NOWHERE"), "filter"),
        (pb.ListEventRecordsRequest(filter='name = "'), "filter"),
        (pb.ListEventRecordsRequest(view=9), "view"),  # type: ignore[arg-type]
    ],
)
async def test_bad_list_requests_are_refused(
    context: EventsContext, request_: pb.ListEventRecordsRequest, field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.ListEventRecords(request_, metadata=context.as_sender, timeout=5)
    assert list(refused.fields) == [field]


async def test_content_that_is_longer_as_a_value_than_as_text_is_still_shown(
    context: EventsContext,
) -> None:
    # Each element is two bytes of text, and eleven as a google.protobuf.Value.
    ones = [1] * 262_143
    largest = await context.send(payload=ones, context=ones)
    shown = await context.get(largest.id)
    assert content_of(shown.payload) == ones
    assert content_of(shown.context) == ones
    for _ in range(20):
        await context.send(payload=[1] * 20_000)
    seen: list[EventRecord] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await list_events(context, view=pb.VIEW_FULL, page_token=token)
        seen.extend(page.event_records)
        token, pages = page.next_page_token, pages + 1
    assert pages > 1
    assert len({record.id for record in seen}) == 21
