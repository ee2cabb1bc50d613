"""Patterns of names: what they take, and that a table of many finds all of a name's quickly."""

import random
from uuid import UUID

import pytest

from kongflow_common.errors import InvalidField
from kongflow_events.domain.dispatcher_index import DispatcherIndex
from kongflow_events.domain.event_names import NameMatch, NamePattern, NameTable, check_names
from kongflow_filters import Wildcard
from services.events.tests.unit.test_dispatcher_index import dispatcher, event, found

LETTERS = ["*", "a", "b", "c", "."]


def pattern(text: str) -> NamePattern:
    return NamePattern(text, Wildcard(text))


def made(chance: random.Random) -> str:
    text = "".join(chance.choice(LETTERS) for _ in range(chance.randrange(1, 6)))
    while "**" in text:
        text = text.replace("**", "*")
    return text


def test_a_table_finds_what_a_plain_loop_finds_while_patterns_come_and_go() -> None:
    chance = random.Random(3)
    table: NameTable[str] = NameTable()
    held: set[str] = set()
    taken = 0
    for _ in range(4_000):
        text = made(chance)
        if "*" in text and text not in held:
            table.put(pattern(text), text)
            held.add(text)
        if held and chance.random() < 0.3:
            gone = chance.choice(sorted(held))
            table.remove(pattern(gone))
            held.remove(gone)
            assert table.get(pattern(gone)) is None
        name = made(chance)
        listed = table.find(name, at_most=100_000)
        assert listed is not None
        assert sorted(listed) == sorted(each for each in held if Wildcard(each).matches(name))
        taken += len(listed)
    assert taken > 4_000
    for each in held:
        table.remove(pattern(each))
    assert not table


def test_an_index_finds_exact_names_and_patterns_once_each_and_forgets_them() -> None:
    index = DispatcherIndex()
    several = dispatcher(None, None, "order.*", "*.failed", "order.failed", wildcards=True)
    literal = dispatcher(None, None, "order.*")
    demanding = dispatcher({"n": [1]}, None, "*", wildcards=True)
    for each in (several, literal, demanding):
        index.put(each, 0)
    assert found(index, event({"n": 1}), "order.failed") == {several.id, demanding.id}
    assert found(index, event({"n": 2}), "order.failed") == {several.id}
    assert found(index, event({"n": 2}), "order.*") == {several.id, literal.id}
    assert found(index, event({"n": 2}), "order") == set()
    for each in (several, literal, demanding):
        index.remove(each.id)
    assert (index._by_name, index._by_pattern, len(index)) == ({}, {}, 0)


def test_of_many_patterns_only_those_of_the_names_ends_are_tried() -> None:
    index = DispatcherIndex()
    wanted: UUID | None = None
    for n in range(5_000):
        one = dispatcher(None, None, f"tenant-{n}.*", f"*.kind-{n}", wildcards=True)
        index.put(one, 0)
        if n == 1_042:
            wanted = one.id
    matched = index.match("tenant-1042.kind-1042", "trigger.dev", event({}), at_most=1)
    assert matched is not None
    assert list(matched.dispatcher_ids) == [wanted]


def test_too_many_that_differ_in_the_middle_are_left_to_the_database() -> None:
    table: NameTable[int] = NameTable()
    for n in range(2_100):
        table.put(pattern(f"*-{n}-*"), n)
    assert table.find("x-7-y", at_most=50) is None
    assert table.find("x-7-y", at_most=200) == [7]


def test_what_is_no_pattern_is_refused_with_its_place() -> None:
    check_names(("a**",), NameMatch.EXACT)
    with pytest.raises(InvalidField) as caught:
        check_names(("a*", "a**"), NameMatch.WILDCARD)
    assert "event_names[1]" in str(caught.value)
