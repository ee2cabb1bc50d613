"""What patterns weigh: never less than what the engine does, and little where it does little."""

import random
import time

import jsonschema_rs
import pytest

from kongflow_events.domain.pattern_weight import MOST_PLACES, weight_of_pattern

UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@pytest.mark.parametrize(
    ("pattern", "repeated"),
    [
        ("a.{200}b.{200}c", 400),
        ("a[ab]{100}c", 100),
        ("(a[ab]{0,30}){10}c", 300),
        ("(?:(a{10}){10}){10}", 1_000),
        ("(?<name>a){200}", 200),
        ("(?i-s:a){200}", 200),
        (r"\u{50}", 50),
        (r"a[\]]b{200}", 200),
        # A bracket in a class is a character for some, and opens a class for others.
        ("[[]a{200}", 200),
        ("[^]a]{200}", 200),
        ("[[ab]c]{200}", 200),
        ("^a|b{200}", 200),
        ("^[a-z]+b{200}", 200),
        ("(?m)^a{200}", 200),
    ],
)
def test_what_may_begin_anywhere_weighs_so_much_at_each_byte(pattern: str, repeated: int) -> None:
    weight = weight_of_pattern(pattern)
    assert repeated <= weight.open <= weight.places
    assert weight.work(1_000) >= 1_000 * repeated


@pytest.mark.parametrize(
    "pattern",
    ["^.{1,255}$", UUID, r"^\d{4}-\d{2}-\d{2}$", "^(?:[A-Z]{2}[0-9]{2}){1,40}$", r"\Aa{1,90}"],
)
def test_what_begins_once_and_ends_soon_weighs_little_however_long_the_text(pattern: str) -> None:
    weight = weight_of_pattern(pattern)
    assert weight.work(500_000) < 500_000 * 3


@pytest.mark.parametrize(
    "pattern",
    ["a{5001}", "(a{100}){100}", "[[]((a{100}){100})]", "a{99999999999999999999}", "(?x)a {9}"],
)
def test_what_is_too_large(pattern: str) -> None:
    assert weight_of_pattern(pattern).is_too_large


@pytest.mark.parametrize(
    "pattern", ["", "(", ")" * 9_000, "(" * 9_000, "[", "[^", "a{", "\\", "(?", "*", "{2}"]
)
def test_what_is_no_pattern_raises_nothing(pattern: str) -> None:
    assert weight_of_pattern(pattern).places > 0


def test_no_pattern_takes_longer_than_it_weighs() -> None:
    chance = random.Random(7)
    texts = ["".join(chance.choices(letters, k=20_000)) for letters in ("ab", "аб", "abаб €1.")]
    # A weight that forgets a repetition is wrong by its count; machines differ by less.
    slowest = 200e-9
    tried = 0
    while tried < 300:
        pattern = chance.choice(["", "", "^"]) + _some_pattern(chance, 2) + chance.choice(["", "c"])
        weight = weight_of_pattern(pattern)
        options = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
        try:
            validator = jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options)
        except ValueError:
            continue
        tried += 1
        assert weight.places <= MOST_PLACES * 10
        for text in texts:
            began = time.process_time()
            validator.is_valid(text)
            taken = time.process_time() - began
            assert taken <= 0.001 + slowest * weight.work(len(text.encode())), pattern


_PARTS = ["a", "b", ".", "[ab]", "[^x]", r"\w", r"\p{L}", "[аб]", r"\b", r"\S", "[[:alpha:]]"]
_TIMES = ["", "", "", "*", "+", "?", "{5}", "{2,9}", "{40}", "{0,30}", "{3,}", "*?"]


def _some_pattern(chance: random.Random, depth: int) -> str:
    parts = []
    for _ in range(chance.randint(1, 4)):
        part = chance.choice(_PARTS)
        if depth and chance.random() < 0.4:
            part = chance.choice(["({})", "(?:{})", "(?i:{})"]).format(
                _some_pattern(chance, depth - 1)
            )
        parts.append(part + ("" if part == r"\b" else chance.choice(_TIMES)))
    return "".join(parts) if chance.random() < 0.7 else "".join(parts) + "|a"
