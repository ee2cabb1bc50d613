"""Filters that are not stored: asked about a sample, and about the last events."""

from typing import Any

import grpc
import orjson
import pytest

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_dispatcher_pb2 import (
    Dispatchable,
    EventDispatcher,
    JobVersionDispatchable,
)
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.match_explanation_pb2 import MatchExplanation
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext


def document(value: object) -> Payload:
    return Payload(json=orjson.dumps(value))


async def backtest(context: EventsContext, **fields: Any) -> pb.BacktestFilterResponse:
    return await context.client.BacktestFilter(
        pb.BacktestFilterRequest(**fields), metadata=context.as_sender, timeout=30
    )


async def test_a_sample_is_judged_and_nothing_is_stored(context: EventsContext) -> None:
    request = pb.TestFilterRequest(
        payload_filter=document({"user": {"age": [{"$gte": 18}]}}),
        context_filter=document({"tenant": ["acme"]}),
        event=EventRecord(payload=document({"user": {"age": 17}})),
    )

    async def ask() -> pb.TestFilterResponse:
        return await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)

    answer = await ask()
    assert not answer.matched
    told = answer.explanation
    assert (told.reason, told.path) == (MatchExplanation.REASON_PAYLOAD_FILTER, "payload.user.age")
    assert told.operator == "$gte"
    assert (content_of(told.wanted.whole), content_of(told.found.whole)) == (18, 17)
    request.event.payload.json = b'{"user": {"age": 18}}'
    answer = await ask()
    assert answer.explanation.reason == MatchExplanation.REASON_CONTEXT_FILTER
    assert answer.explanation.found.missing
    request.event.context.json = b'{"tenant": "acme"}'
    answer = await ask()
    assert answer.matched
    assert not answer.HasField("explanation")
    assert await context.count("event_records") == 0
    assert await context.count("event_dispatchers") == 0


async def test_what_is_probably_not_meant_is_told(context: EventsContext) -> None:
    filters = document({"age": [{"$gt": 1, "$lt": 5}]})
    answer = await context.client.TestFilter(
        pb.TestFilterRequest(payload_filter=filters), metadata=context.as_sender, timeout=5
    )
    assert answer.warnings == (await backtest(context, payload_filter=filters)).warnings
    assert answer.warnings[0].startswith("payload_filter.age[0]: only $gt counts")


async def test_what_would_keep_the_service_busy_for_minutes_is_given_up(
    context: EventsContext,
) -> None:
    written = {"a": [{"$not": f"q{number}"} for number in range(20_000)]}
    event = EventRecord(payload=document({"a": ["y"] * 80_000}))
    answer = await context.client.TestFilter(
        pb.TestFilterRequest(payload_filter=document(written), event=event),
        metadata=context.as_sender,
        timeout=30,
    )
    assert not answer.matched
    assert answer.explanation.kind == MatchExplanation.KIND_TOO_LARGE
    assert answer.explanation.path == "payload.a"
    assert not answer.explanation.HasField("wanted")


async def test_of_much_that_is_not_meant_the_beginning_is_told(context: EventsContext) -> None:
    filters = document({"age": [{"$gt": 1, "x": 5}] * 30_000})
    dispatcher = EventDispatcher(
        dispatchable_id="d",
        dispatchable=Dispatchable(job_version=JobVersionDispatchable(job_id=str(new_id()))),
        event_names=["x"],
        payload_filter=filters,
    )
    put = await context.client.UpsertEventDispatcher(
        pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher),
        metadata=context.as_sender,
        timeout=10,
    )
    assert len(put.warnings) == 101
    assert put.warnings[-1] == "event_dispatcher.payload_filter: 29900 more of this kind"
    assert await context.count("event_dispatchers") == 1


async def test_a_sample_of_a_request(context: EventsContext) -> None:
    hook = {
        "url": "https://example.org/",
        "method": "POST",
        "headers": {"content-type": "application/json"},
        "rawBody": '{"action": "opened"}',
    }
    request = pb.TestFilterRequest(
        payload_filter=document({"body": {"action": ["opened"]}}),
        event=EventRecord(payload=document(hook), payload_type=EventRecord.PAYLOAD_TYPE_REQUEST),
    )
    answer = await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)
    assert answer.matched
    request.event.payload.json = orjson.dumps({**hook, "rawBody": "{"})
    answer = await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)
    assert answer.explanation.reason == MatchExplanation.REASON_UNREADABLE_REQUEST


async def test_values_that_no_document_holds_are_described(context: EventsContext) -> None:
    request = pb.TestFilterRequest(
        payload_filter=document({"s": {"0": ["x"]}, "toString": ["x"]}),
        event=EventRecord(payload=document({"s": "\U0001f600"})),
    )
    answer = await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)
    assert answer.explanation.found.described == '"\\ud83d"'
    request.event.payload.json = b'{"s": "x"}'
    answer = await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)
    assert "JavaScript" in answer.explanation.found.described


async def test_the_last_events_are_looked_at(context: EventsContext) -> None:
    sent = [
        (
            await context.send(
                ("order.created", "order.paid")[n % 2],
                payload={"n": n},
                context={"even": n % 4 == 0},
                source="shop" if n < 6 else "",
            )
        )
        for n in range(60)
    ]
    answer = await backtest(
        context, payload_filter=document({"n": [{"$lt": 50}]}), filter='name = "order.paid"'
    )
    assert (answer.examined_count, answer.matched_count) == (30, 25)
    assert list(answer.matched_event_record_ids) == [each.id for each in sent[49:0:-2]]
    assert answer.oldest_create_time == sent[1].create_time
    assert not answer.out_of_time
    answer = await backtest(context, context_filter=document({"even": [True]}), max_events=10)
    assert (answer.examined_count, answer.matched_count) == (10, 2)
    assert list(answer.matched_event_record_ids) == [sent[56].id, sent[52].id]
    answer = await backtest(context, payload_filter=document({}), filter='source = "shop"')
    assert (answer.examined_count, answer.matched_count) == (6, 6)
    assert await context.count("event_dispatchers") == 0


async def test_more_events_than_are_read_at_once(context: EventsContext) -> None:
    await context.database.pool.execute(
        """
        INSERT INTO events.event_records (id, event_id, name, payload, organization_id,
                                          environment_id, project_id)
        SELECT gen_random_uuid(), n, 'n', jsonb_build_object('n', n %% 3), %(organization)s,
               %(environment)s, %(project)s
          FROM generate_series(1, 1200) n
        """,
        {
            "organization": context.environment.organization_id,
            "environment": context.environment.environment_id,
            "project": context.environment.project_id,
        },
    )
    filters = document({"n": [{"$gte": 0}]})
    answer = await backtest(context, payload_filter=filters, max_events=1000)
    assert (answer.examined_count, answer.matched_count) == (1000, 1000)
    assert len(set(answer.matched_event_record_ids)) == 1000
    assert (await backtest(context, payload_filter=filters)).examined_count == 100


async def test_other_environments_are_not_looked_at(context: EventsContext) -> None:
    await context.send()
    other = context.server.credentials.add_environment()
    stranger = bearer(context.server.credentials.add_secret_key(other))
    answer = await context.client.BacktestFilter(
        pb.BacktestFilterRequest(payload_filter=document({})), metadata=stranger, timeout=5
    )
    assert answer == pb.BacktestFilterResponse()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "payload_filter"),
        ({"payload_filter": Payload(json=b"{")}, "payload_filter"),
        ({"payload_filter": document([])}, "payload_filter"),
        ({"payload_filter": document({"a": {"b": [{"$gt": "x"}]}})}, "payload_filter.a.b[0].$gt"),
        ({"payload_filter": document({"a": ["x" * 600_000]})}, "payload_filter"),
        ({"context_filter": document({"a": 1})}, "context_filter.a"),
    ],
)
async def test_filters_that_are_none_are_refused_with_their_place(
    context: EventsContext, fields: dict[str, Any], field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.TestFilter(
            pb.TestFilterRequest(**fields), metadata=context.as_sender, timeout=5
        )
    assert list(refused.fields) == [field]
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await backtest(context, **fields)
    assert list(refused.fields) == [field]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (EventRecord(payload=Payload(json=b"{")), "event.payload"),
        (EventRecord(context=Payload(json=b"nothing")), "event.context"),
        (EventRecord(payload_type=9), "event.payload_type"),  # type: ignore[arg-type]
    ],
)
async def test_bad_samples_are_refused(
    context: EventsContext, event: EventRecord, field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.TestFilter(
            pb.TestFilterRequest(payload_filter=document({}), event=event),
            metadata=context.as_sender,
            timeout=5,
        )
    assert list(refused.fields) == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_events": -1}, "max_events"),
        ({"max_events": 1001}, "max_events"),
        ({"filter": "payload = 1"}, "filter"),
    ],
)
async def test_bad_bounds_are_refused(
    context: EventsContext, fields: dict[str, Any], field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await backtest(context, payload_filter=document({}), **fields)
    assert list(refused.fields) == [field]
