"""What the dispatchers of an environment make of an event, over a real channel."""

import json
import random
from typing import Any
from uuid import uuid4

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.match_explanation_pb2 import DispatcherVerdict, MatchExplanation
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext
from tests.differential.generator import Pairs


async def explain(context: EventsContext, **fields: Any) -> pb.ExplainEventResponse:
    return await context.client.ExplainEvent(
        pb.ExplainEventRequest(**fields), metadata=context.as_sender, timeout=20
    )


async def verdicts_of(context: EventsContext, record_id: str) -> dict[str, DispatcherVerdict]:
    answer = await explain(context, id=record_id, page_size=1000)
    assert not answer.next_page_token
    return {each.dispatchable_id: each for each in answer.verdicts}


async def test_each_reason_with_its_place(context: EventsContext) -> None:
    await context.put("matches", payload_filter={"amount": [{"$gt": 100}]})
    await context.put("name", "order.paid", "order.closed")
    await context.put("source", source="shop")
    await context.put("disabled", enabled=False)
    await context.put("manual", manual=True)
    await context.put("account", account_id="acme")
    await context.put("payload", payload_filter={"amount": [{"$gt": 1}, {"$lt": 100}]})
    await context.put("one-of", payload_filter={"country": ["DE", "FR"]})
    await context.put("no-element", payload_filter={"items": {"sku": ["z"]}})
    await context.put("no-members", payload_filter={"customer": {"id": [1]}})
    await context.put("context", payload_filter={}, context_filter={"trace": [{"$exists": True}]})
    record = await context.send(payload={"amount": 250, "country": "IT", "items": [{"sku": "a"}]})
    found = await verdicts_of(context, record.id)
    told = {
        name: (each.reason, each.kind, each.path, each.operator)
        for name, verdict in found.items()
        for each in (verdict.explanation,)
        if not verdict.matched
    }
    why = MatchExplanation
    condition = why.KIND_CONDITION
    assert told == {
        "name": (why.REASON_NAME, condition, "name", ""),
        "source": (why.REASON_SOURCE, condition, "source", ""),
        "disabled": (why.REASON_DISABLED, why.KIND_UNSPECIFIED, "", ""),
        "manual": (why.REASON_MANUAL, why.KIND_UNSPECIFIED, "", ""),
        "account": (why.REASON_ACCOUNT, condition, "account_id", ""),
        "payload": (why.REASON_PAYLOAD_FILTER, condition, "payload.amount", "$lt"),
        "one-of": (why.REASON_PAYLOAD_FILTER, condition, "payload.country", ""),
        "no-element": (why.REASON_PAYLOAD_FILTER, why.KIND_NO_ELEMENT, "payload.items", ""),
        "no-members": (why.REASON_PAYLOAD_FILTER, why.KIND_NO_MEMBERS, "payload.customer", ""),
        "context": (why.REASON_CONTEXT_FILTER, condition, "context.trace", "$exists"),
    }
    assert found["matches"].matched
    assert not found["matches"].HasField("explanation")
    wanted = {
        name: content_of(verdict.explanation.wanted.whole)
        for name, verdict in found.items()
        if verdict.explanation.HasField("wanted")
    }
    assert wanted == {
        "name": ["order.paid", "order.closed"],
        "source": ["shop"],
        "account": ["acme"],
        "payload": 100,
        "one-of": ["DE", "FR"],
        "no-element": {"sku": ["z"]},
        "no-members": {"id": [1]},
        "context": True,
    }
    shown = {name: verdict.explanation.found for name, verdict in found.items()}
    assert content_of(shown["name"].whole) == "order.created"
    assert content_of(shown["source"].whole) == "trigger.dev"
    assert content_of(shown["payload"].whole) == 250
    assert content_of(shown["one-of"].whole) == "IT"
    assert content_of(shown["no-element"].whole) == [{"sku": "a"}]
    assert all(shown[each].missing for each in ("account", "no-members", "context"))


async def test_of_two_reasons_the_first_is_told(context: EventsContext) -> None:
    await context.put("both", "other", source="shop", enabled=False, payload_filter={"a": [1]})
    record = await context.send()
    found = await verdicts_of(context, record.id)
    assert found["both"].explanation.reason == MatchExplanation.REASON_NAME


async def test_requests_that_cannot_be_read_and_stored_filters_that_are_none(
    context: EventsContext,
) -> None:
    await context.put("filtered", payload_filter={})
    await context.put("open")
    await context.put("broken", payload_filter={"a": [1]})
    await context.database.pool.execute(
        """UPDATE events.event_dispatchers SET payload_filter = '{"a": 1}'
            WHERE dispatchable_id = 'broken'"""
    )
    record = await context.send(payload={"no": "request"}, request_payload=True)
    found = await verdicts_of(context, record.id)
    assert found["open"].matched
    told = found["filtered"].explanation
    assert told.reason == MatchExplanation.REASON_UNREADABLE_REQUEST
    assert told.message == "the payload is not a request"
    told = found["broken"].explanation
    assert told.reason == MatchExplanation.REASON_INVALID_FILTER
    assert told.message.startswith("payload_filter.a: must be a list")


async def test_what_is_explained_is_what_is_delivered(context: EventsContext) -> None:
    """Over filters, payloads, names, sources and accounts by a seed."""
    pick = random.Random(7)
    lines = Pairs(7).lines()
    matched = unmatched = 0
    for n in range(60):
        await put_raw(context, f"job-{n}", next(lines), pick)
    for _ in range(25):
        record = await send_raw(context, next(lines), pick)
        [_] = await context.deliver(record)
        expected = await invoked(context, record.id)
        found = await verdicts_of(context, record.id)
        assert {each.dispatcher_id for each in found.values() if each.matched} == expected
        assert not any(each.changed_since for each in found.values())
        matched += len(expected)
        unmatched += len(found) - len(expected)
    assert matched > 50
    assert unmatched > 50


async def put_raw(
    context: EventsContext, dispatchable_id: str, line: str, pick: random.Random
) -> None:
    """Store a dispatcher whose filter is that of a pair, as far as it is valid."""
    request = pb.UpsertEventDispatcherRequest(enabled=pick.random() < 0.9)
    dispatcher = request.event_dispatcher
    dispatcher.dispatchable_id = dispatchable_id
    dispatcher.event_names.extend(pick.sample(["a", "b", "c"], 2))
    dispatcher.source = pick.choice(["", "", "shop"])
    dispatcher.manual = pick.random() < 0.1
    dispatcher.account_id = pick.choice(["", "", "", "acme"])
    dispatcher.dispatchable.job_version.job_id = str(uuid4())
    if pick.random() < 0.6:
        dispatcher.payload_filter.json = part_of(line, "filter")
    try:
        await context.client.UpsertEventDispatcher(request, metadata=context.as_sender, timeout=10)
    except grpc.RpcError:
        dispatcher.ClearField("payload_filter")
        await context.client.UpsertEventDispatcher(request, metadata=context.as_sender, timeout=10)


async def send_raw(context: EventsContext, line: str, pick: random.Random) -> Any:
    request = pb.SendEventRequest(account_id=pick.choice(["", "acme"]))
    request.event.name = pick.choice(["a", "b", "c"])
    request.event.source = pick.choice(["", "", "shop"])
    request.event.payload.json = part_of(line, "payload")
    try:
        answer = await context.client.SendEvent(request, metadata=context.as_sender, timeout=10)
    except grpc.RpcError:
        # Half of a surrogate pair cannot be stored.
        request.event.payload.json = b'{"a": "b"}'
        answer = await context.client.SendEvent(request, metadata=context.as_sender, timeout=10)
    return answer.event_record


def part_of(line: str, name: str) -> bytes:
    """A half of a pair as JSON text."""
    return json.dumps(json.loads(line)[name]).encode()


async def invoked(context: EventsContext, record_id: str) -> set[str]:
    """The dispatchers that an event was handed to."""
    record = await context.get(record_id)
    if record.matched_count:
        await context.relay_is_idle()
    arguments = [
        json.loads(message.args)
        for message in context.worker_queue.of_kind("events.invokeDispatcher")
    ]
    found = {each["dispatcherId"] for each in arguments if each["eventRecordId"] == record_id}
    assert len(found) == record.matched_count
    return found


async def test_pages_and_filters(context: EventsContext) -> None:
    for n in range(60):
        await context.put(f"job-{n}", payload_filter={"n": [n]}, enabled=n % 2 == 0)
    record = await context.send(payload={"n": 4}, event_id="mine")
    seen: list[str] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await explain(
            context, event_id="mine", page_size=13, page_token=token, filter="enabled = true"
        )
        assert page.event_record.id == record.id
        assert not page.event_record.HasField("payload")
        seen.extend(each.dispatchable_id for each in page.verdicts)
        token, pages = page.next_page_token, pages + 1
    assert seen == [f"job-{n}" for n in range(58, -1, -2)]
    assert pages == 3


async def test_a_token_is_for_its_event(context: EventsContext) -> None:
    for n in range(2):
        await context.put(f"job-{n}")
    first, second = await context.send(), await context.send()
    token = (await explain(context, id=first.id, page_size=1)).next_page_token
    assert len((await explain(context, id=first.id, page_token=token)).verdicts) == 1
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await explain(context, id=second.id, page_token=token)
    assert list(refused.fields) == ["page_token"]


async def test_a_dispatcher_that_changed_since_says_so(context: EventsContext) -> None:
    await context.put("stays")
    await context.put("changes")
    record = await context.send()
    found = await verdicts_of(context, record.id)
    # Nothing was matched yet.
    assert not any(each.changed_since for each in found.values())
    await context.deliver(record)
    await context.put("changes", "another.name")
    found = await verdicts_of(context, record.id)
    assert found["stays"].matched
    assert not found["stays"].changed_since
    assert not found["changes"].matched
    assert found["changes"].changed_since


async def test_large_values_are_cut_and_pages_end_early(context: EventsContext) -> None:
    await context.put("deep", payload_filter={"a": [{"$not": "x" * 400_000}]})
    for n in range(40):
        await context.put(f"job-{n}", *(f"{n}" + "é" * 500 for _ in range(1)))
    record = await context.send(payload={"a": ["x" * 400_000]})
    found = await verdicts_of(context, record.id)
    told = found["deep"].explanation
    assert len(told.wanted.beginning) == 1_000
    assert told.found.beginning == '["' + "x" * 998


async def test_only_within_the_callers_environment(context: EventsContext) -> None:
    await context.put("job")
    record = await context.send()
    other = context.server.credentials.add_environment()
    stranger = bearer(context.server.credentials.add_secret_key(other))
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await context.client.ExplainEvent(
            pb.ExplainEventRequest(id=record.id), metadata=stranger, timeout=5
        )
    assert refused.reason == "EVENT_NOT_FOUND"
    own = await context.client.SendEvent(
        pb.SendEventRequest(event=EventRecord(name="order.created")), metadata=stranger, timeout=5
    )
    answer = await context.client.ExplainEvent(
        pb.ExplainEventRequest(id=own.event_record.id), metadata=stranger, timeout=5
    )
    assert not answer.verdicts


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ExplainEventRequest(), "key"),
        (pb.ExplainEventRequest(id="x"), "id"),
        (pb.ExplainEventRequest(event_id="x", page_size=-1), "page_size"),
        (pb.ExplainEventRequest(event_id="x", page_token="?"), "page_token"),
        (pb.ExplainEventRequest(event_id="x", filter="payload = 1"), "filter"),
    ],
)
async def test_bad_requests_are_refused(
    context: EventsContext, request_: pb.ExplainEventRequest, field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.ExplainEvent(request_, metadata=context.as_sender, timeout=5)
    assert list(refused.fields) == [field]
