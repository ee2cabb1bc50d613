"""How much text a schema has to look at: all that its patterns may meet, and nothing else."""

import time
from typing import Any

import pytest

from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.payload_validator import JsonSchemaCompiler, LazyValidator
from kongflow_events.domain.schema_shape import check_shape, cost_of
from kongflow_events.domain.schema_text_work import TextWork

HEAVY = {"pattern": "a[ab]{100}c"}
LONG = "ab" * 1_000
# A hundred places at each of two thousand bytes.
WORK = 200_000
LIMIT = 1_000_000_000
UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def work(schema: dict[str, Any], payload: object) -> int:
    return TextWork(schema).of(payload, at_most=LIMIT)


MEETING: list[tuple[dict[str, Any], object]] = [
    (HEAVY, LONG),
    ({"properties": {"a": HEAVY}}, {"a": LONG}),
    ({"additionalProperties": HEAVY}, {"a": LONG}),
    ({"unevaluatedProperties": HEAVY}, {"a": LONG}),
    ({"patternProperties": {"^a": HEAVY}}, {"a": LONG}),
    ({"patternProperties": {"a[ab]{100}c": {}}}, {LONG: 1}),
    ({"propertyNames": HEAVY}, {LONG: 1}),
    ({"dependentSchemas": {"b": {"properties": {"a": HEAVY}}}}, {"a": LONG}),
    ({"items": HEAVY}, [LONG]),
    ({"items": [{}, HEAVY], "$schema": "http://json-schema.org/draft-07/schema"}, [1, LONG]),
    ({"prefixItems": [{}, HEAVY]}, [1, LONG]),
    ({"additionalItems": HEAVY}, [LONG]),
    ({"unevaluatedItems": HEAVY}, [LONG]),
    ({"contains": HEAVY}, [LONG]),
    ({"allOf": [{"anyOf": [{"oneOf": [{"not": HEAVY}]}]}]}, LONG),
    ({"if": {}, "then": HEAVY}, LONG),
    ({"if": {}, "else": HEAVY}, LONG),
    ({"if": HEAVY}, LONG),
    ({"$ref": "#/$defs/x", "$defs": {"x": HEAVY}}, LONG),
    ({"properties": {"next": {"$ref": "#"}, "a": HEAVY}}, {"next": {"next": {"a": LONG}}}),
    ({"items": {"allOf": [{"format": "idn-hostname"}] * 10}}, [LONG]),
]


@pytest.mark.parametrize(("schema", "payload"), MEETING)
def test_what_a_pattern_may_meet_is_counted(schema: dict[str, Any], payload: object) -> None:
    assert work(schema, payload) >= WORK


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"properties": {"a": HEAVY}}, {"b": LONG, "c": [LONG]}),
        ({"properties": {"b": {}}, "additionalProperties": HEAVY}, {"b": LONG}),
        ({"items": HEAVY}, {"a": LONG}),
        ({"propertyNames": HEAVY}, {"a": LONG}),
        ({"prefixItems": [HEAVY]}, [1, LONG]),
        ({"$defs": {"x": HEAVY}}, LONG),
        ({"type": "string", "minLength": 5}, LONG),
        ({"properties": {"a": {"pattern": UUID}}}, {"a": LONG}),
    ],
)
def test_what_no_pattern_meets_is_not(schema: dict[str, Any], payload: object) -> None:
    assert work(schema, payload) < WORK / 20


def test_each_that_meets_a_text_counts_and_bytes_do() -> None:
    assert work({"allOf": [HEAVY] * 7}, LONG) >= 7 * WORK
    assert work({"items": HEAVY}, [LONG] * 7) >= 7 * WORK
    assert work(HEAVY, "é" * 2_000) >= 2 * WORK
    assert work({"unevaluatedProperties": False, "allOf": [HEAVY]}, LONG) >= 3 * WORK


MANY_NAMES = {f"a{number}": "x" for number in range(40_000)}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"items": {"allOf": [{"format": "email"}] * 1_000}}, ["x"] * 100_000),
        ({"patternProperties": {f"a{number}": HEAVY for number in range(2_000)}}, MANY_NAMES),
        ({"allOf": [{"propertyNames": HEAVY}] * 2_000}, MANY_NAMES),
    ],
)
def test_counting_ends_when_it_is_too_much(schema: dict[str, Any], payload: object) -> None:
    counted = TextWork(schema)
    began = time.process_time()
    assert counted.of(payload, at_most=1_000_000) > 1_000_000
    assert time.process_time() - began < 3


def violations(schema: dict[str, Any], payload: object) -> list[tuple[str, str]]:
    check_shape(schema, "schema")
    validator = JsonSchemaCompiler().compile(schema, "schema")
    return [(each.field, each.description) for each in validator.violations(payload, at_most=10)]


TOO_MUCH = [("payload", "holds too much text for the patterns and formats of this schema")]


@pytest.mark.parametrize("count", [1, 5, 300])
def test_an_event_whose_patterns_would_take_seconds_does_not_fit(count: int) -> None:
    text = "ab" * 250_000
    schema = {"allOf": [{"pattern": f"a[ab]{{{100 + each}}}c"} for each in range(count)]}
    began = time.process_time()
    assert violations(schema, text) == TOO_MUCH
    assert time.process_time() - began < 2
    lazy = LazyValidator(JsonDocument.dump(schema))
    assert [each.description for each in lazy.violations(text, at_most=10)] == [TOO_MUCH[0][1]]
    assert len(violations(schema, text[:40])) == min(count, 10)


def test_what_does_not_fit_is_not_looked_for_in_much_text() -> None:
    schema = {"pattern": "a[ab]{100}c"}
    [(field, description)] = violations(schema, "ab" * 50_000)
    assert (field, description) == ("payload", "does not fit, and is too large to say where")
    [(_, description)] = violations(schema, "ab" * 10_000)
    assert "does not match" in description


def test_usual_patterns_take_payloads_of_any_size() -> None:
    order = {
        "id": {"pattern": UUID},
        "email": {"pattern": r"^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$", "format": "email"},
        "placed": {"format": "date-time"},
        "name": {"pattern": r"^[\p{L}\p{M} '-]+$"},
        "note": {"pattern": r"\S"},
    }
    one = {
        "id": "01a216fc-55a0-7215-a45a-a0015c58c8cc",
        "email": "some.body@example.com",
        "placed": "2026-01-01T00:00:00Z",
        "name": "Zoë O'Brien-Müller",
        "note": "twenty characters of it",
    }
    assert violations({"items": {"properties": order}}, [one] * 2_500) == []
    body = {"id": one["id"], "data": "QUJD" * 120_000}
    base64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
    schema = {"properties": {"id": {"pattern": UUID}, "data": {"pattern": base64}}}
    assert violations(schema, body) == []


def test_patterns_that_are_too_heavy_are_refused_with_their_place() -> None:
    for schema, path in (
        ({"properties": {"a": {"pattern": "(a{100}){100}"}}}, "schema.properties.a.pattern"),
        ({"patternProperties": {"(a{100}){100}": {}}}, "schema.patternProperties"),
        ({"allOf": [{"pattern": f"^a{{4000}}{n}"} for n in range(30)]}, "schema.allOf[24].pattern"),
    ):
        with pytest.raises(InvalidField, match="is too heavy") as refused:
            check_shape(schema, "schema")
        assert refused.value.field == path


def unevaluated(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(levels):
        schema = {"unevaluatedProperties": False, "allOf": [schema]}
    return schema


def test_what_looks_again_at_what_others_looked_at_counts_for_it() -> None:
    # Each level asks those below three times.
    assert cost_of(unevaluated(8)) > 3**8
    assert violations(unevaluated(6), {"a": 1}) == []
    with pytest.raises(InvalidField, match="too complex"):
        check_shape(unevaluated(12), "schema")
