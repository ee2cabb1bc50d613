"""Replays what the original's own code said; see data/README.md."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kongflow_filters import CompiledFilter, InvalidFilter, parse_filter
from kongflow_filters.ignore_case import IgnoreCaseText

DATA: Final = Path(__file__).parent / "data"
EXPECTED: Final[Mapping[object, str]] = {
    True: "match",
    False: "no match",
    "invalid": "invalid",
    # Where the original throws and tries again for ever, there is no match here.
    "throws": "no match",
}


def verdict(payload: object, written: object) -> str:
    try:
        parsed = parse_filter(written)
    except InvalidFilter:
        return "invalid"
    return "match" if CompiledFilter(parsed).matches(payload) else "no match"


def test_every_recorded_filter_has_the_originals_verdict() -> None:
    verdicts: Counter[str] = Counter()
    different: list[str] = []
    for line in (DATA / "filter_cases.jsonl").read_text("ascii").splitlines():
        recorded, payload, written = json.loads(line)
        expected = EXPECTED[recorded]
        verdicts[expected] += 1
        if verdict(payload, written) != expected:
            different.append(line)
    assert different == []
    assert min(verdicts.values()) > 500
    assert len(verdicts) == 3


def test_what_a_filter_is_parsed_to_is_parsed_to_itself() -> None:
    for line in (DATA / "filter_cases.jsonl").read_text("ascii").splitlines():
        recorded, _, written = json.loads(line)
        if recorded == "invalid":
            continue
        tree = parse_filter(written).tree
        again = parse_filter(json.loads(json.dumps(tree)))
        assert again.tree == tree
        assert again.warnings == ()


def test_characters_are_equal_but_for_the_case_as_recorded() -> None:
    line_of: dict[str, int] = {}
    first_of: list[str] = []
    recorded = (DATA / "ignore_case_characters.txt").read_text("ascii").splitlines()
    for number, line in enumerate(recorded):
        characters = [chr(int(each, 16)) for each in line.removeprefix("ignored ").split()]
        first_of.append("" if number == 0 else characters[0])
        line_of.update(dict.fromkeys(characters, number))
        text = IgnoreCaseText(first_of[number])
        assert [each for each in characters if not text.equals(each)] == []

    # Different lines have different keys, and so has every character on no line.
    alone = (
        chr(each)
        for each in range(0x10000)
        if not 0xD800 <= each < 0xE000 and chr(each) not in line_of
    )
    representatives = [*first_of, *alone]
    assert len({IgnoreCaseText(each) for each in representatives}) == len(representatives)


def test_strings_are_equal_but_for_the_case_as_recorded() -> None:
    groups = [
        json.loads(line)
        for line in (DATA / "ignore_case_groups.jsonl").read_text("ascii").splitlines()
    ]
    texts = {IgnoreCaseText(group[0]) for group in groups}
    assert len(texts) == len(groups) > 1000
    for group in groups:
        for each in group:
            assert all(IgnoreCaseText(each).equals(other) for other in group), group
