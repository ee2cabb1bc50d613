"""What filters have beyond the original is refused there, so that no filter of it changes.

The keys and operators of the extension are mixed at random with those of the original: whatever
the published schema takes has its verdict here, and only what it refuses may say something new.
"""

import json
import random

import pytest

from tests.differential.compare import judge
from tests.differential.oracle import ask

FILTERS = 20_000
KEYS = ["$kongflow", "$or", "a", ""]
ENTRIES: list[object] = [
    "x",
    1,
    None,
    {"prefix": "x"},
    {"wildcard": "*x"},
    {"anything-but": {"suffix": "y"}},
    {"numeric": [">", 0]},
    {"exists": False},
]


def value(chance: random.Random, depth: int = 3) -> object:
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(["x", "y", 1, True, None])
    if chance.random() < 0.3:
        return [value(chance, depth - 1) for _ in range(chance.randrange(3))]
    return {key: value(chance, depth - 1) for key in chance.sample(KEYS, chance.randrange(4))}


def condition(chance: random.Random, depth: int) -> object:
    kind = chance.random()
    operators: dict[str, object] = {}
    if kind < 0.45:
        operators["$kongflow"] = chance.sample(ENTRIES, chance.randrange(3))
    if 0.3 < kind < 0.75:
        operators["$or"] = [written(chance, depth - 1) for _ in range(chance.randrange(3))]
    if kind > 0.6:
        operators[chance.choice(["$exists", "$not", "$gt"])] = chance.choice([True, 0, "x"])
    return operators


def written(chance: random.Random, depth: int = 3) -> object:
    members: dict[str, object] = {}
    for key in chance.sample(KEYS, chance.choice([0, 1, 1, 1, 2])):
        kind = chance.random()
        if kind < 0.3 or depth <= 0:
            members[key] = chance.sample(["x", "y"], chance.randrange(3))
        elif kind < 0.75:
            members[key] = [condition(chance, depth) for _ in range(chance.choice([1, 1, 2]))]
        else:
            members[key] = written(chance, depth - 1)
    return members


@pytest.mark.timeout(300)
def test_what_the_published_schema_takes_has_its_verdict() -> None:
    chance = random.Random(2318)
    lines = [
        json.dumps({"payload": value(chance), "filter": written(chance)}) for _ in range(FILTERS)
    ]
    valid_there = valid_only_here = 0
    for line, (verdict, _) in zip(lines, ask(lines), strict=True):
        ours = judge(line)
        if verdict != "invalid":
            assert ours == verdict.replace("throws", "false"), line
            valid_there += 1
        elif ours != "invalid":
            assert '"$kongflow"' in line
            valid_only_here += 1
    # Nothing is shown by filters that are all of one kind.
    assert min(valid_there, valid_only_here) > FILTERS / 20
