"""Pairs of payload and filter, judged here and by the published SDK."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from kongflow_cli.local.filter_lines import verdicts
from kongflow_filters import CompiledFilter, InvalidFilter, parse_filter
from tests.differential.generator import Pairs
from tests.differential.oracle import ask

BATCH = 20_000
# Where the original throws, there is no match. See docs/behaviour/filters.md#matching.
SAME_AS = {"throws": "false"}


@dataclass
class Comparison:
    """What was compared: how often each operator had each verdict, and where we differ."""

    pairs: int = 0
    alone: Counter[str] = field(default_factory=Counter)
    event: Counter[str] = field(default_factory=Counter)
    operators: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def compare(pairs: int, seed: int) -> Comparison:
    """Judges as many pairs as asked for; the same seed gives the same pairs."""
    found = Comparison()
    lines = islice(Pairs(seed).lines(), pairs)
    while batch := list(islice(lines, BATCH)):
        theirs = ask(batch)
        ours = zip(map(judge, batch), verdicts(line.encode() for line in batch), strict=True)
        for line, expected, answered in zip(batch, theirs, ours, strict=True):
            record(found, line, expected, answered)
    return found


def record(
    found: Comparison, line: str, expected: tuple[str, str], answered: tuple[str, str]
) -> None:
    """Counts one pair."""
    found.pairs += 1
    found.alone[expected[0]] += 1
    found.event[expected[1]] += 1
    for name in set(operators_of(json.loads(line)["filter"])):
        found.operators[name, expected[0]] += 1
    if tuple(SAME_AS.get(each, each) for each in expected) != answered:
        found.differences.append(f"{line} theirs {expected}, ours {answered}")


def judge(line: str) -> str:
    """What the filter says of the payload itself."""
    pair = json.loads(line)
    try:
        parsed = parse_filter(pair["filter"])
    except InvalidFilter:
        return "invalid"
    return "true" if CompiledFilter(parsed).matches(pair["payload"]) else "false"


def operators_of(written: Any) -> Iterator[str]:
    """The operators that stand anywhere in a filter."""
    if isinstance(written, dict):
        for key, value in written.items():
            if key.startswith("$"):
                yield key
            yield from operators_of(value)
    elif isinstance(written, list):
        for each in written:
            yield from operators_of(each)
