"""Dispatchers over a real channel."""

import asyncio

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_dispatcher_pb2 import EventDispatcher
from kongflow_common.ids import new_id
from kongflow_common.testing.refusals import refusal
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext


async def get(context: EventsContext, dispatchable_id: str = "job") -> EventDispatcher:
    answer = await context.client.GetEventDispatcher(
        pb.GetEventDispatcherRequest(dispatchable_id=dispatchable_id),
        metadata=context.as_sender,
        timeout=5,
    )
    return answer.event_dispatcher


async def test_dispatcher_is_stored_and_read_back(context: EventsContext) -> None:
    job_id = new_id()
    answer = await context.put(
        "job",
        "order.created",
        "order.paid",
        "order.created",
        source="shop",
        payload_filter={"total": [{"$gt": 5}]},
        context_filter={},
        account_id="customer-7",
        job_id=job_id,
    )
    stored = answer.event_dispatcher
    assert not answer.warnings
    assert stored == await get(context)
    assert list(stored.event_names) == ["order.created", "order.paid"]
    assert content_of(stored.payload_filter) == {"total": [{"$gt": 5}]}
    assert content_of(stored.context_filter) == {}
    assert (stored.source, stored.account_id) == ("shop", "customer-7")
    assert (stored.enabled, stored.manual, stored.generation) == (True, False, 1)
    assert stored.dispatchable.job_version.job_id == str(job_id)
    assert stored.dispatchable.job_version.alias == "latest"


async def test_names_are_literal_unless_it_says_otherwise(context: EventsContext) -> None:
    await context.put("job", "order.**", "a\\b")
    stored = await get(context)
    assert stored.name_match == EventDispatcher.NAME_MATCH_EXACT
    assert list(stored.event_names) == ["order.**", "a\\b"]
    await context.put("job", "order.*", "*.failed", wildcards=True)
    stored = await get(context)
    assert stored.name_match == EventDispatcher.NAME_MATCH_WILDCARD
    assert list(stored.event_names) == ["order.*", "*.failed"]
    await context.put("job", "order.*")
    assert (await get(context)).name_match == EventDispatcher.NAME_MATCH_EXACT


async def test_version_of_a_job_is_kept(context: EventsContext) -> None:
    dispatcher = EventDispatcher(dispatchable_id="job", event_names=["a"])
    dispatcher.dispatchable.job_version.job_id = str(new_id())
    dispatcher.dispatchable.job_version.version = "1.2.0"
    await context.client.UpsertEventDispatcher(
        pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher),
        metadata=context.as_sender,
        timeout=5,
    )
    job_version = (await get(context)).dispatchable.job_version
    assert (job_version.WhichOneof("selector"), job_version.version) == ("version", "1.2.0")


async def test_q7_a_filter_that_is_left_out_is_gone(context: EventsContext) -> None:
    first = await context.put(payload_filter={"a": [1]}, context_filter={"b": [1]}, account_id="x")
    second = await context.put()
    stored = second.event_dispatcher
    assert stored.id == first.event_dispatcher.id
    assert not stored.HasField("payload_filter")
    assert not stored.HasField("context_filter")
    assert not stored.account_id
    assert stored.generation == 2


async def test_q6_manual_does_not_stick(context: EventsContext) -> None:
    await context.put(manual=True)
    record = await context.send()
    await context.deliver(record)
    assert (await context.get(record.id)).matched_count == 0
    await context.put()
    record = await context.send()
    await context.deliver(record)
    assert (await context.get(record.id)).matched_count == 1


async def test_disabled_one_is_enabled_by_the_next_upsert_that_does_not_say(
    context: EventsContext,
) -> None:
    assert not (await context.put(enabled=False)).event_dispatcher.enabled
    assert (await context.put()).event_dispatcher.enabled


async def test_only_a_newer_generation_changes_anything(context: EventsContext) -> None:
    assert (await context.put(generation=5)).event_dispatcher.generation == 5
    for generation in (4, 5):
        late = await context.put("job", "other", generation=generation, account_id="late")
        assert late.event_dispatcher == await get(context)
        assert list(late.event_dispatcher.event_names) == ["order.created"]
    assert await context.count("external_accounts") == 0
    assert (await context.put("job", "other")).event_dispatcher.generation == 6
    assert (await context.put(generation=9)).event_dispatcher.generation == 9


async def test_upserts_of_one_dispatcher_at_once_are_one_row(context: EventsContext) -> None:
    answers = await asyncio.gather(
        *(context.put("job", f"event.{n}", account_id="same") for n in range(10))
    )
    assert len({answer.event_dispatcher.id for answer in answers}) == 1
    generations = sorted(answer.event_dispatcher.generation for answer in answers)
    assert generations == list(range(1, 11))
    assert await context.count("event_dispatchers") == 1


async def test_q10_an_operator_that_never_counts_is_warned_about(context: EventsContext) -> None:
    answer = await context.put(payload_filter={"total": [{"$gt": 1, "$lt": 5}]})
    [warning] = answer.warnings
    assert "event_dispatcher.payload_filter.total[0]" in warning
    assert "$lt" in warning


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (b"[]", "event_dispatcher.payload_filter"),
        (b"null", "event_dispatcher.payload_filter"),
        (b'{"a": 1}', "event_dispatcher.payload_filter.a"),
        (b'{"a": [1, "x"]}', "event_dispatcher.payload_filter.a[0]"),
        (b'{"a": [null]}', "event_dispatcher.payload_filter.a[0]"),
        (b'{"a": {"b": [{}]}}', "event_dispatcher.payload_filter.a.b[0]"),
        (b'{"a": {"$gt": 5}}', "event_dispatcher.payload_filter.a.$gt"),
        (b'{"$or": [{"a": [1]}]}', "event_dispatcher.payload_filter.$or[0]"),
        (b"{", "event_dispatcher.payload_filter"),
    ],
)
async def test_filter_that_the_original_refuses_is_refused(
    context: EventsContext, document: bytes, path: str
) -> None:
    dispatcher = EventDispatcher(dispatchable_id="job", event_names=["a"])
    dispatcher.dispatchable.job_version.job_id = str(new_id())
    dispatcher.payload_filter.json = document
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.UpsertEventDispatcher(
            pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher),
            metadata=context.as_sender,
            timeout=5,
        )
    assert list(refused.fields) == [path]
    assert await context.count("event_dispatchers") == 0


def _dispatcher() -> EventDispatcher:
    dispatcher = EventDispatcher(dispatchable_id="job", event_names=["a"])
    dispatcher.dispatchable.job_version.job_id = str(new_id())
    return dispatcher


def _changed(**fields: object) -> pb.UpsertEventDispatcherRequest:
    dispatcher = _dispatcher()
    for name, value in fields.items():
        dispatcher.ClearField(name)  # type: ignore[arg-type]
        if isinstance(value, list):
            getattr(dispatcher, name).extend(value)
        elif value is not None:
            setattr(dispatcher, name, value)
    return pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher)


def _wildcards(name: str) -> pb.UpsertEventDispatcherRequest:
    return _changed(event_names=["*", name], name_match=EventDispatcher.NAME_MATCH_WILDCARD)


def _selected(**selector: str) -> pb.UpsertEventDispatcherRequest:
    dispatcher = _dispatcher()
    for name, value in selector.items():
        setattr(dispatcher.dispatchable.job_version, name, value)
    return pb.UpsertEventDispatcherRequest(event_dispatcher=dispatcher)


def _generation(generation: int) -> pb.UpsertEventDispatcherRequest:
    return pb.UpsertEventDispatcherRequest(event_dispatcher=_dispatcher(), generation=generation)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.UpsertEventDispatcherRequest(), "event_dispatcher"),
        (_changed(dispatchable_id=""), "event_dispatcher.dispatchable_id"),
        (_changed(dispatchable_id="d" * 513), "event_dispatcher.dispatchable_id"),
        (_changed(dispatchable=None), "event_dispatcher.dispatchable"),
        (_changed(event_names=[]), "event_dispatcher.event_names"),
        (_changed(event_names=["a"] * 101), "event_dispatcher.event_names"),
        (_changed(event_names=["a", ""]), "event_dispatcher.event_names[1]"),
        (_changed(event_names=["\0"]), "event_dispatcher.event_names[0]"),
        (_wildcards("order.**"), "event_dispatcher.event_names[1]"),
        (_wildcards("order\\.*"), "event_dispatcher.event_names[1]"),
        (_wildcards("order.\\"), "event_dispatcher.event_names[1]"),
        (_changed(name_match=7), "event_dispatcher.name_match"),
        (_changed(source="s" * 513), "event_dispatcher.source"),
        (_changed(account_id="a" * 513), "event_dispatcher.account_id"),
        (_selected(job_id=""), "event_dispatcher.dispatchable.job_version.job_id"),
        (_selected(job_id="my-job"), "event_dispatcher.dispatchable.job_version.job_id"),
        (_selected(alias=""), "event_dispatcher.dispatchable.job_version.alias"),
        (_selected(version="\0"), "event_dispatcher.dispatchable.job_version.version"),
        (_generation(0), "generation"),
        (_generation(-1), "generation"),
        (_generation(2**63 - 1), "generation"),
    ],
)
async def test_bad_dispatcher_is_refused_and_nothing_is_stored(
    context: EventsContext, request_: pb.UpsertEventDispatcherRequest, field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.UpsertEventDispatcher(request_, metadata=context.as_sender, timeout=5)
    assert list(refused.fields) == [field]
    assert await context.count("event_dispatchers") == 0
    assert await context.count("external_accounts") == 0


async def test_another_environments_dispatcher_is_not_found(context: EventsContext) -> None:
    stored = (await context.put()).event_dispatcher
    other = context.server.credentials.add_environment()
    stranger = (("authorization", f"Bearer {context.server.credentials.add_secret_key(other)}"),)
    for request in (
        pb.GetEventDispatcherRequest(id=stored.id),
        pb.GetEventDispatcherRequest(dispatchable_id="job"),
    ):
        with refusal(grpc.StatusCode.NOT_FOUND) as refused:
            await context.client.GetEventDispatcher(request, metadata=stranger, timeout=5)
        assert refused.reason == "DISPATCHER_NOT_FOUND"
    mine = await context.client.GetEventDispatcher(
        pb.GetEventDispatcherRequest(id=stored.id), metadata=context.as_sender, timeout=5
    )
    assert mine.event_dispatcher == stored


async def test_dispatchable_of_an_unknown_kind_is_shown_without_it(
    context: EventsContext,
) -> None:
    stored = (await context.put()).event_dispatcher
    await context.database.pool.execute(
        """UPDATE events.event_dispatchers SET dispatchable = '{"type": "FUTURE"}'"""
    )
    shown = await get(context)
    assert shown.id == stored.id
    assert not shown.HasField("dispatchable")
