"""Explanations and verdicts are of one mind, over the pairs of the differential run."""

import json
from collections import Counter
from itertools import islice

from kongflow_filters import (
    MISSING,
    CompiledFilter,
    EventMatcher,
    InvalidFilter,
    MatchTarget,
    Mismatch,
    MismatchKind,
    excerpt,
    explain,
    explain_event,
    parse_filter,
)
from tests.differential.generator import OPERATORS, Pairs

PAIRS = 20_000
SEED = 4021


def test_a_filter_holds_exactly_when_nothing_is_said_against_it() -> None:
    found: Counter[object] = Counter()
    for line in islice(Pairs(SEED).lines(), PAIRS):
        pair = json.loads(line)
        payload, written = pair["payload"], pair["filter"]
        said = explain_event(MatchTarget(payload, {}), written)
        assert EventMatcher(written).matches(MatchTarget(payload, {})) is (said is None), line
        try:
            parsed = parse_filter(written)
        except InvalidFilter:
            assert said is not None or written is None, line
            continue
        mismatch = explain(parsed, payload)
        assert CompiledFilter(parsed).matches(payload) is (mismatch is None), line
        found["matches" if mismatch is None else mismatch.kind] += 1
        if mismatch is not None:
            check(mismatch, line)
            found[mismatch.operator] += 1
    # Nothing is shown by pairs that are all of one kind; none of them is large.
    for kind in ("matches", *set(MismatchKind) - {MismatchKind.TOO_LARGE}, *OPERATORS):
        assert found[kind] >= 5, kind


def check(mismatch: Mismatch, line: str) -> None:
    """What is wanted is not so of what was found, asked alone; and both can be shown."""
    if mismatch.kind is MismatchKind.CONDITION:
        asked = [{mismatch.operator: mismatch.wanted}] if mismatch.operator else mismatch.wanted
        alone = CompiledFilter(parse_filter({"found": list(asked)}))  # type: ignore[call-overload]
        value = {} if mismatch.found is MISSING else {"found": mismatch.found}
        assert not alone.matches(value), line
    assert excerpt(mismatch.wanted, 1_000).text.encode()
    assert excerpt(mismatch.found, 1_000).text.encode()
