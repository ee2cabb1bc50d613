"""What filters and names have beyond the original, over the channel."""

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.match_explanation_pb2 import MatchExplanation
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext

EITHER = {
    "$kongflow": [
        {"$or": [{"ip": [{"$kongflow": [{"cidr": "10.0.0.0/8"}]}]}, {"vip": [True]}]},
    ]
}


async def test_an_event_reaches_those_whose_patterns_hold(context: EventsContext) -> None:
    either = (await context.put("either", payload_filter=EITHER)).event_dispatcher
    files = [{"$kongflow": [{"wildcard": "*.csv"}, {"suffix": {"equals-ignore-case": ".txt"}}]}]
    await context.put("files", payload_filter={"file": files})
    everything = (await context.put("all", "order.*", wildcards=True)).event_dispatcher
    other = (await context.put("other", "*.failed", wildcards=True)).event_dispatcher
    record = await context.send(payload={"ip": "10.1.2.3", "file": "a.png"})
    await context.deliver(record)
    assert (await context.get(record.id)).matched_count == 2
    answer = await context.client.ExplainEvent(
        pb.ExplainEventRequest(id=record.id), metadata=context.as_sender, timeout=5
    )
    verdicts = {each.dispatchable_id: each for each in answer.verdicts}
    taking = {each.dispatcher_id for each in verdicts.values() if each.matched}
    assert taking == {either.id, everything.id}
    missed = verdicts["files"].explanation
    assert (missed.path, missed.operator) == ("payload.file", "$kongflow")
    assert missed.found.whole.value.string_value == "a.png"
    unnamed = verdicts["other"].explanation
    assert verdicts["other"].dispatcher_id == other.id
    assert unnamed.reason == MatchExplanation.REASON_NAME
    assert (unnamed.path, unnamed.operator) == ("name", "wildcard")


async def test_a_sample_is_tried_with_alternatives(context: EventsContext) -> None:
    request = pb.TestFilterRequest()
    request.payload_filter.json = b'{"$kongflow": [{"$or": [{"a": ["x"]}, {"b": ["y"]}]}]}'
    request.event.payload.json = b'{"a": "z"}'
    answer = await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)
    assert not answer.matched
    assert (answer.explanation.path, answer.explanation.operator) == ("payload", "$or")
    request.event.payload.json = b'{"b": "y"}'
    answer = await context.client.TestFilter(request, metadata=context.as_sender, timeout=5)
    assert answer.matched


@pytest.mark.parametrize(
    ("payload_filter", "place"),
    [
        ({"a": [{"$kongflow": [{"wildcard": "x**"}]}]}, ".a[0].$kongflow[0].wildcard"),
        ({"a.b": [{"$kongflow": [{"cidr": "10.0.0.0/40"}]}]}, '["a.b"][0].$kongflow[0].cidr'),
        ({"$kongflow": [{"$or": [{"a": ["x"]}, {"": 5}]}]}, '.$kongflow[0].$or[1][""]'),
        ({"$or": [{"a": ["x"]}]}, ".$or[0]"),
    ],
)
async def test_what_is_no_pattern_is_refused_with_its_place(
    context: EventsContext, payload_filter: object, place: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.put(payload_filter=payload_filter)
    assert list(refused.fields) == [f"event_dispatcher.payload_filter{place}"]
    assert await context.count("event_dispatchers") == 0
