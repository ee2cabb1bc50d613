"""Conditions that read texts: each text once, and for what it takes."""

import random
from ipaddress import ip_address, ip_network

import orjson
import pytest

from kongflow_filters import EventMatcher, MatchTarget, explain_event, parse_filter
from kongflow_filters.address_range import AddressRanges, parse_address, parse_range
from kongflow_filters.effort import UNCOUNTED_STEPS, Effort
from kongflow_filters.explanation import MismatchKind, explain_member, weight_of
from kongflow_filters.text_reader import OF_ADDRESS, OF_KEY, OF_LETTERS, OF_READ, OF_SCAN
from kongflow_filters.text_weight import TextWeight, text_weight_of


def target_of(payload: object) -> MatchTarget:
    return MatchTarget.of_json(payload, {}, size=len(orjson.dumps(payload)))


def alternatives(conditions: list[object]) -> object:
    return {"l": {"$kongflow": [{"$or": [{"n": [each]} for each in conditions]}]}}


def cidr(number: int) -> object:
    return {"cidr": f"2001:db8:{number // 250:x}:{number % 250:x}::/64"}


def address(number: int) -> str:
    return f"2001:db8:ffff::9:{number:x}"


# What took from 5 to 20 s for the steps of a second, when texts were read for each step.
LONG: dict[str, tuple[object, object]] = {
    "ranges": ({"a": [{"$kongflow": [cidr(n) for n in range(1_000)]}]}, {"a": [address(9)] * 1900}),
    "ranges, one by one": (
        {"$kongflow": [{"$or": [{"a": [{"$kongflow": [cidr(n)]}]} for n in range(3_000)]}]},
        {"a": [address(number) for number in range(300)]},
    ),
    "keys of one text": (
        alternatives([{"$ignoreCaseEquals": "é" * 200 + str(n)} for n in range(1_150)]),
        {"l": [{"n": "É" * 200 + "x"}] * 1_150},
    ),
    "keys of many": (
        alternatives([{"$ignoreCaseEquals": "한" * 150 + str(n)} for n in range(1_000)]),
        {"l": [{"n": "한" * 150 + str(-n)} for n in range(1_000)]},
    ),
    "letters": (
        alternatives(
            [
                {"$kongflow": [{"prefix": {"equals-ignore-case": "é" * n}}]}
                for n in range(400, 1_100)
            ]
        ),
        {"l": [{"n": "É" * 399 + str(n)} for n in range(400)]},
    ),
    "characters": (
        {"a": {str(2 * n): [{"$exists": True}] for n in range(20_000)}},
        {"a": "😀" * 120_000},
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_long_texts_are_judged_as_they_are_explained(name: str) -> None:
    written, payload = LONG[name]
    matcher, target = EventMatcher(written), target_of(payload)
    assert target.effort is not None
    matched = matcher.matches(target)
    assert target.effort.cost > 0
    assert matched is (explain_event(target, written) is None)


def test_long_texts_are_not_left_uncounted() -> None:
    conditions = [{"a": [{"$ignoreCaseEquals": "é" * 200 + str(n)}]} for n in range(2_000)]
    written = {"$kongflow": [{"$or": conditions}]}
    target = target_of({"a": "É" * 250, "b": "É" * 20_000})
    assert target.effort is not None
    assert not EventMatcher(written).matches(target)
    # All of its text may be meant, so that it was counted.
    assert target.effort.spent > 0


def test_each_text_is_read_once() -> None:
    written = parse_filter(
        alternatives([{"$ignoreCaseEquals": "é" * 200 + str(n)} for n in range(100)])
    )
    spent = []
    for payload in (
        [{"n": "É" * 200 + "x"}] * 100,
        [{"n": "É" * 200 + f"x{n}"} for n in range(100)],
    ):
        effort = Effort(0)
        assert explain_member(written, {"l": payload}, effort=effort) is not None
        spent.append(effort.spent)
    # Of each of 99 texts more, 203 characters.
    assert spent[1] - spent[0] == pytest.approx(99 * 203 * OF_KEY / 1_000, rel=0.05)


def test_wildcards_pay_for_a_text_before_they_look_through_it() -> None:
    wildcards = [{"wildcard": f"*{'a' * 50}b{'a' * 49}*{number}"} for number in range(100)]
    written = parse_filter({"a": [{"$kongflow": wildcards}]})
    payload = {"a": ["a" * 2_000] * 240}
    # A hundred looks at 480,000 characters, and for each text one more.
    needed = 100 * 480_000 * OF_SCAN // 1_000 + 100 * 241
    for at_most, kind in (
        (needed - 1, MismatchKind.TOO_LARGE),
        (needed + 10, MismatchKind.CONDITION),
    ):
        mismatch = explain_member(written, payload, effort=Effort(0, at_most=at_most))
        assert mismatch is not None
        assert mismatch.kind is kind


@pytest.mark.parametrize(
    ("conditions", "weight"),
    [
        ([{"$startsWith": "a"}, {"$gt": 1}], TextWeight()),
        ([{"$ignoreCaseEquals": "a"}] * 2, TextWeight(2 * OF_READ, 2 * OF_KEY)),
        ([{"$kongflow": ["a", {"prefix": "a"}, {"numeric": ["=", 1]}]}], TextWeight()),
        ([{"$kongflow": [{"equals-ignore-case": "a"}]}], TextWeight(OF_READ, OF_LETTERS)),
        ([{"$kongflow": [{"suffix": {"equals-ignore-case": "a"}}]}], TextWeight(2, OF_LETTERS)),
        (
            [{"$kongflow": [{"anything-but": {"equals-ignore-case": ["a", "b"]}}]}],
            TextWeight(2 * OF_READ, 2 * OF_LETTERS),
        ),
        (
            [{"$kongflow": [{"anything-but": {"prefix": [{"equals-ignore-case": "a"}, "b"]}}]}],
            TextWeight(OF_READ, OF_LETTERS),
        ),
        ([{"$kongflow": [{"wildcard": "a*"}, {"wildcard": "b*"}]}], TextWeight(2 * OF_SCAN)),
        ([{"$kongflow": [cidr(1), cidr(2)]}], TextWeight(OF_ADDRESS)),
    ],
)
def test_what_conditions_take_for_a_character(conditions: list[object], weight: TextWeight) -> None:
    assert text_weight_of(parse_filter({"a": {"b": conditions}})) == weight
    inside = {"$kongflow": [{"$or": [{"b": conditions}]}]}
    assert text_weight_of(parse_filter({"a": inside})) == weight


def test_keys_that_look_into_texts_are_counted() -> None:
    written = parse_filter({"a": {"length": [1], "0": ["x"], "size": [2]}})
    assert text_weight_of(written) == TextWeight(2 * OF_READ)


def test_long_texts_that_no_condition_reads_leave_filters_quick() -> None:
    payload = {"a": "x", "b": "É" * 200_000}
    target = target_of(payload)
    assert EventMatcher({"a": [{"$startsWith": "x"}]}).matches(target)
    assert target.effort is not None
    assert target.effort.cost == 0
    # What may read them is counted, and finds that they do not matter.
    assert EventMatcher({"a": [{"$ignoreCaseEquals": "X"}]}).matches(target)
    assert 0 < target.effort.spent < 20


def test_the_event_is_charged_for_what_is_read_uncounted() -> None:
    target = target_of({"a": "É" * 20_000})
    assert target.effort is not None
    for _ in range(10):
        assert EventMatcher({"a": [{"$ignoreCaseEquals": "é" * 20_000}]}).matches(target)
    assert target.effort.spent == 0
    assert target.effort.cost >= 10 * 20_000 * OF_KEY // 1_000
    assert 20_000 * OF_KEY // 1_000 < UNCOUNTED_STEPS


def test_many_ranges_of_a_list_are_asked_at_once() -> None:
    few, many = ([{"$kongflow": [cidr(n) for n in range(count)]}] for count in (20, 1_000))
    assert weight_of(parse_filter({"a": many})) == weight_of(parse_filter({"a": few}))
    matcher = EventMatcher({"a": many})
    assert matcher.matches(target_of({"a": ["x", "2001:db8:3:f9::1"]}))
    assert not matcher.matches(target_of({"a": ["x", "2001:db8:4::1", "10.0.0.1", 5, ["::"]]}))


def test_ranges_are_those_of_the_standard_library() -> None:
    chance = random.Random(3)
    versions = []
    for _ in range(3_000):
        bits = chance.choice((32, 128))
        base, length = chance.getrandbits(bits), chance.randint(0, bits)
        start = ip_address(base) if bits == 32 else ip_address(base.to_bytes(16, "big"))
        text = f"{start}/{length}"
        network = ip_network(text, strict=False)
        near = base ^ (1 << chance.randrange(bits))
        inside = ip_address(near.to_bytes(bits // 8, "big"))
        found = parse_address(str(inside))
        assert found is not None
        assert AddressRanges([text]).hold(found) is (inside in network), (text, inside)
        versions.append(found[0])
    assert {4, 6} == set(versions)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4 ", " ::", ":::"),
        *("1::2::3", "12345::", "::1.2.3", "١.2.3.4", "1.2.3.4\n", "0x1.2.3.4", "f" * 46),
        *("1,2", "::1%eth0"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None
    with pytest.raises(ValueError, match="must be an IPv4 or IPv6 address"):
        parse_range(f"{text}/8")


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ("1.2.3.4/32", True),
        ("1.2.3.4/33", False),
        ("::/128", True),
        ("::/129", False),
        ("1.2.3.4/08", True),
        ("1.2.3.4/", False),
        ("1.2.3.4/255.0.0.0", False),
        ("::ffff:1.2.3.4/96", True),
    ],
)
def test_lengths_of_ranges(text: str, ok: bool) -> None:
    if ok:
        parse_range(text)
    else:
        with pytest.raises(ValueError, match="must be an IPv4 or IPv6 address"):
            parse_range(text)
