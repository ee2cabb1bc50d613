"""When a new version of a schema is compatible: by examples, and against a validator."""

import random
from typing import Any

import jsonschema_rs
import pytest

from kongflow_events.domain.event_schema import Compatibility
from kongflow_events.domain.schema_compatibility import differences

BACKWARD, FORWARD, FULL = Compatibility.BACKWARD, Compatibility.FORWARD, Compatibility.FULL
ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "total": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}


def with_property(name: str, schema: Any, **keywords: Any) -> dict[str, Any]:
    return {**ORDER, "properties": {**ORDER["properties"], name: schema}, **keywords}


@pytest.mark.parametrize(
    ("new", "is_backward", "is_forward"),
    [
        pytest.param(ORDER, True, True, id="the same"),
        pytest.param({**ORDER, "title": "Order"}, True, True, id="an annotation"),
        pytest.param(with_property("note", {"type": "string"}), True, False, id="optional added"),
        pytest.param(
            with_property("note", {"type": "string"}, required=["id", "note"]),
            False,
            False,
            id="required added",
        ),
        pytest.param({**ORDER, "required": []}, True, False, id="required no more"),
        pytest.param({**ORDER, "required": ["id", "total"]}, False, True, id="required now"),
        pytest.param(
            with_property("total", {"type": "number", "minimum": 0}), True, False, id="wider"
        ),
        pytest.param(
            with_property("total", {"type": "integer", "minimum": 1}), False, True, id="bound"
        ),
        pytest.param(with_property("total", {"type": "string"}), False, False, id="another type"),
        pytest.param({**ORDER, "additionalProperties": True}, True, False, id="opened"),
        pytest.param(
            {
                **ORDER,
                "properties": {"id": {"enum": ["a", "b"]}, "total": ORDER["properties"]["total"]},
            },
            False,
            True,
            id="certain values",
        ),
    ],
)
def test_examples(new: dict[str, Any], is_backward: bool, is_forward: bool) -> None:
    assert (not differences(ORDER, new, BACKWARD)) is is_backward
    assert (not differences(ORDER, new, FORWARD)) is is_forward
    assert (not differences(ORDER, new, FULL)) is (is_backward and is_forward)
    assert not differences(ORDER, new, Compatibility.NONE)


def test_a_difference_has_its_place_and_its_reason() -> None:
    old = {"type": "object", "properties": {"lines": {"type": "array", "items": ORDER}}}
    changed = with_property("total", {"type": "integer", "minimum": 5})
    new = {"type": "object", "properties": {"lines": {"type": "array", "items": changed}}}
    [found] = differences(old, new, BACKWARD)
    assert found.path == "payload.lines[].total"
    assert found.reason == "the new one asks for minimum 5"
    assert not found.undecided


def test_what_is_not_understood_is_undecided() -> None:
    for old, new in (
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^[ab]"}),
        ({"type": "object"}, {"type": "object", "not": {"required": ["a"]}}),
        ({"type": "object"}, {"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
        ({"type": "string"}, {"$schema": "http://json-schema.org/draft-07/schema#"}),
    ):
        found = differences(old, new, BACKWARD)
        assert found, (old, new)
        assert all(each.undecided for each in found), (old, new, found)


def test_a_schema_that_holds_itself_is_compared_to_the_end() -> None:
    def chain(value: Any) -> dict[str, Any]:
        node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}, "value": value}}
        return {"$defs": {"n": node}, "$ref": "#/$defs/n"}

    old, new = chain({"type": "integer"}), chain({"type": "number"})
    assert not differences(old, new, BACKWARD)
    assert differences(old, new, FORWARD)


# Small worlds: few names, few values, so that schemas and payloads often meet.
NAMES = ("a", "b", "c")


def some_schema(dice: random.Random, depth: int = 0) -> Any:
    if dice.random() < 0.08:
        return dice.random() < 0.8
    schema: dict[str, Any] = {}
    if dice.random() < 0.7:
        kinds = ["null", "boolean", "integer", "number", "string", "array", "object"]
        schema["type"] = dice.choice(
            [dice.choice(kinds), dice.choice(kinds), dice.sample(kinds, dice.randint(1, 3))]
        )
    for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        if dice.random() < 0.15:
            schema[keyword] = dice.randint(-1, 3)
    for keyword in ("minLength", "maxLength", "minItems", "maxItems", "minProperties"):
        if dice.random() < 0.12:
            schema[keyword] = dice.randint(0, 2)
    if dice.random() < 0.15:
        schema["enum"] = [some_value(dice, 2) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.05:
        schema["const"] = some_value(dice, 2)
    if dice.random() < 0.1:
        schema["multipleOf"] = dice.choice([1, 2, 4])
    if depth < 2:
        grow(dice, schema, depth)
    return schema


def grow(dice: random.Random, schema: dict[str, Any], depth: int) -> None:
    def below() -> Any:
        return some_schema(dice, depth + 1)

    if dice.random() < 0.5:
        schema["properties"] = {name: below() for name in dice.sample(NAMES, dice.randint(1, 3))}
    if dice.random() < 0.3:
        schema["required"] = dice.sample(NAMES, dice.randint(1, 2))
    if dice.random() < 0.3:
        schema["additionalProperties"] = dice.choice([False, below()])
    if dice.random() < 0.15:
        schema["patternProperties"] = {dice.choice(["^a", "b", "."]): below()}
    if dice.random() < 0.3:
        schema["items"] = below()
    if dice.random() < 0.15:
        schema["prefixItems"] = [below() for _ in range(dice.randint(1, 2))]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if dice.random() < 0.12:
            schema[keyword] = [below() for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.06:
        schema["not"] = below()
    if dice.random() < 0.06:
        schema["if"], schema["then"] = below(), below()


def changed(dice: random.Random, schema: Any) -> Any:
    """A schema that differs a little, so that many pairs are compatible."""
    if not isinstance(schema, dict) or dice.random() < 0.05:
        return some_schema(dice, 1)
    new = dict(schema)
    if new and dice.random() < 0.6:
        keyword = dice.choice(list(new))
        value = new[keyword]
        if isinstance(value, dict) and keyword in ("properties", "patternProperties") and value:
            name = dice.choice(list(value))
            new[keyword] = {**value, name: changed(dice, value[name])}
        elif isinstance(value, dict | bool) and keyword in ("items", "additionalProperties"):
            new[keyword] = changed(dice, value)
        elif isinstance(value, list) and keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
            new[keyword] = [changed(dice, each) for each in value]
        elif isinstance(value, int) and not isinstance(value, bool) and keyword != "const":
            new[keyword] = max(0, value + dice.choice([-1, 1])) or (keyword == "multipleOf")
            if new[keyword] is False:
                new[keyword] = 0
            new[keyword] = int(new[keyword])
        else:
            del new[keyword]
            if keyword == "if":
                new.pop("then", None)
    if dice.random() < 0.3:
        extra = some_schema(dice, 1)
        if isinstance(extra, dict):
            new = {**extra, **new} if dice.random() < 0.5 else {**new, **extra}
    return new


def some_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randint(0, 7 if depth < 3 else 5)
    if kind == 0:
        return dice.choice([None, True, False])
    if kind in (1, 2):
        return dice.randint(-2, 5)
    if kind == 3:
        return dice.choice([0.5, 1.0, 2.5, 4.0])
    if kind in (4, 5):
        return dice.choice(["", "a", "ab", "abc"])
    if kind == 6:
        return [some_value(dice, depth + 1) for _ in range(dice.randint(0, 3))]
    names = dice.sample([*NAMES, "d"], dice.randint(0, 4))
    return {name: some_value(dice, depth + 1) for name in names}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_called_compatible_has_no_counterexample(seed: int) -> None:
    dice = random.Random(seed)
    compatible = 0
    for _ in range(1_500):
        old = some_schema(dice)
        new = changed(dice, old)
        if not isinstance(old, dict) or not isinstance(new, dict) or old == new:
            continue
        if differences(old, new, BACKWARD):
            continue
        compatible += 1
        takes_old = jsonschema_rs.validator_for(old, offline=True)
        takes_new = jsonschema_rs.validator_for(new, offline=True)
        for _ in range(150):
            value = some_value(dice)
            if takes_old.is_valid(value):
                assert takes_new.is_valid(value), (old, new, value)
    assert compatible > 100
