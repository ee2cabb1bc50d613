"""The differential run in a short form; `make differential` is the long one."""

import json

import pytest

from tests.differential.compare import compare, judge
from tests.differential.generator import OPERATORS
from tests.differential.oracle import ask

PAIRS = 6_000
SEED = 2318


@pytest.mark.timeout(300)
def test_generated_pairs_have_the_published_sdks_verdicts() -> None:
    found = compare(PAIRS, SEED)
    assert found.differences == []
    assert found.pairs == PAIRS
    # Nothing is shown by pairs that are all of one kind.
    assert min(found.alone[each] for each in ("true", "false", "invalid")) > PAIRS / 10
    for name in OPERATORS:
        for verdict in ("true", "false", "invalid"):
            assert found.operators[name, verdict] >= 5, (name, verdict)


def test_a_difference_would_be_seen() -> None:
    """The oracle says what the package says, not what is expected of it."""
    pairs = [
        ({"a": 1}, {"a": [1]}, ("true", "true")),
        ({"a": 1}, {"a": ["1"]}, ("false", "false")),
        ([], {}, ("true", "false")),
        ({"a": 1}, {"a": 1}, ("invalid", "invalid")),
        ({}, {"toString": {"caller": [1]}}, ("throws", "throws")),
    ]
    lines = [json.dumps({"payload": payload, "filter": written}) for payload, written, _ in pairs]
    assert ask(lines) == [verdicts for *_, verdicts in pairs]
    assert [judge(line) for line in lines] == ["true", "false", "true", "invalid", "false"]
