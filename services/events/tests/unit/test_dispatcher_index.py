"""The index finds the dispatchers that asking each of them would find."""

import json
import random
import time
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import orjson

from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.domain.dispatcher_index import DispatcherIndex
from kongflow_events.domain.dispatcher_match import (
    STEPS_AT_ONCE,
    CompiledDispatcher,
    MatchableEvent,
    compile_dispatcher,
)
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_names import NameMatch
from kongflow_events.domain.event_record import EventContent, PayloadType
from tests.differential.generator import Pairs

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVERYTHING = 1_000_000


def dispatcher(
    payload_filter: object = None,
    context_filter: object = None,
    *names: str,
    dispatcher_id: UUID | None = None,
    wildcards: bool = False,
) -> CompiledDispatcher:
    def document(value: object) -> JsonDocument | None:
        return None if value is None else JsonDocument(json.dumps(value).encode())

    return compile_dispatcher(
        EventDispatcher(
            id=dispatcher_id or new_id(),
            environment_id=UUID(int=1),
            dispatchable_id="job",
            specification=DispatcherSpecification(
                event_names=names or ("order.created",),
                source="trigger.dev",
                payload_filter=document(payload_filter),
                context_filter=document(context_filter),
                manual=False,
                enabled=True,
                dispatchable=JsonDocument(b"{}"),
                name_match=NameMatch.WILDCARD if wildcards else NameMatch.EXACT,
            ),
            account_id=None,
            external_account_id=None,
            generation=1,
            created_at=NOW,
            updated_at=NOW,
        )
    )


def event(payload: object, context: object = None) -> MatchableEvent:
    return MatchableEvent(
        PayloadType.JSON,
        EventContent(
            JsonDocument(json.dumps(payload).encode()),
            JsonDocument(json.dumps(context or {}).encode()),
        ),
    )


def found(index: DispatcherIndex, shown: MatchableEvent, name: str = "order.created") -> set[UUID]:
    matched = index.match(name, "trigger.dev", shown, at_most=EVERYTHING)
    assert matched is not None
    assert len(set(matched.dispatcher_ids)) == len(matched.dispatcher_ids)
    return set(matched.dispatcher_ids)


def test_it_finds_what_a_plain_loop_finds_while_dispatchers_come_and_go() -> None:
    chance = random.Random(11)
    index = DispatcherIndex()
    held: dict[UUID, CompiledDispatcher] = {}
    taken = 0
    for line in islice(Pairs(11).lines(), 3_000):
        try:
            pair = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # Half a character, which no stored document holds.
        reuse = chance.choice(list(held)) if held and chance.random() < 0.3 else None
        context = {"plan": ["pro"]} if chance.random() < 0.2 else None
        made = dispatcher(pair["filter"], context, dispatcher_id=reuse)
        index.put(made, 1)
        held[made.id] = made
        if chance.random() < 0.25:
            gone = chance.choice(list(held))
            index.remove(gone)
            del held[gone]
        shown = event(pair["payload"], {"plan": chance.choice(["pro", "free"])})
        expected = {each.id for each in held.values() if each.takes(shown)}
        taken += len(expected)
        assert found(index, shown) == expected, line
    assert taken > 1_000
    assert len(index) == len(held) == index.size


def test_names_are_apart_and_a_dispatcher_may_wait_for_several() -> None:
    index = DispatcherIndex(version=7)
    both = dispatcher({"n": [1]}, None, "a", "b", "a")
    one = dispatcher(None, None, "a")
    for each in (both, one):
        index.put(each, 0)
    assert found(index, event({"n": 1}), "a") == {both.id, one.id}
    assert found(index, event({"n": 1}), "b") == {both.id}
    assert found(index, event({"n": 1}), "c") == set()
    assert index.match("a", "elsewhere", event({}), at_most=9) is not None
    index.remove(both.id)
    index.remove(new_id())
    assert found(index, event({"n": 1}), "a") == {one.id}
    assert found(index, event({"n": 1}), "b") == set()


def test_only_those_whose_demand_is_met_are_asked() -> None:
    index = DispatcherIndex()
    wanted = [
        dispatcher({"status": ["paid"], "customer": {"id": [f"c-{n}"]}}) for n in range(2_000)
    ]
    for each in wanted:
        index.put(each, 0)
    shown = event({"status": "paid", "customer": {"id": "c-1042"}, "total": 5})
    # All but the first few stand under their customer, which no other shares.
    matched = index.match("order.created", "trigger.dev", shown, at_most=3)
    assert matched is not None
    assert list(matched.dispatcher_ids) == [wanted[1042].id]


def test_more_than_may_be_asked_are_not_looked_at() -> None:
    index = DispatcherIndex()
    for n in range(5):
        index.put(dispatcher({"n": [{"$gt": n}]}), 0)
    assert index.match("order.created", "trigger.dev", event({"n": 9}), at_most=4) is None
    assert len(found(index, event({"n": 9}))) == 5


def test_a_demand_with_several_values_is_found_by_each_and_once_by_all() -> None:
    index = DispatcherIndex()
    one = dispatcher({"items": {"sku": ["a", "b"]}})
    index.put(one, 0)
    assert found(index, event({"items": [{"sku": "a"}, {"sku": "b"}]})) == {one.id}
    assert found(index, event({"items": [{"sku": "c"}]})) == set()


def test_places_beyond_the_limit_are_asked_about_every_event() -> None:
    index = DispatcherIndex()
    all_of_them = [dispatcher({f"key-{n}": ["x"]}) for n in range(100)]
    for each in all_of_them:
        index.put(each, 0)
    assert found(index, event({"key-99": "x", "key-0": "x"})) == {
        all_of_them[0].id,
        all_of_them[99].id,
    }


def test_filters_that_ask_much_of_an_event_are_not_asked_while_all_others_wait() -> None:
    index = DispatcherIndex()
    keys = {f"k{number}": [{"$exists": False}] for number in range(39)}
    asks_much = {"a": {**keys, "z": [{"$exists": True}]}}
    for _ in range(200):
        index.put(dispatcher(asks_much), 1)
    began = time.process_time()
    long = event({"a": [{}] * 5_000})
    assert index.match("order.created", "trigger.dev", long, at_most=200) is None
    assert STEPS_AT_ONCE <= long.cost < 2 * 400_000
    # Of those that are not counted, as each is quick, there may be many all the same.
    shorter = event({"a": [{}] * 300})
    assert index.match("order.created", "trigger.dev", shorter, at_most=200) is None
    assert time.process_time() - began < 10
    assert found(index, event({"a": [{}] * 50})) == set()
    assert len(found(index, event({"a": [{}] * 10 + [{"z": 1}]}))) == 200
